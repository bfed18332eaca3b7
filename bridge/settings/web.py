"""Settings of `[web]`."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from bridge.settings.section import MAX_LIMIT, MAX_SECONDS, Port, Section, SettingsPath


def _check_proxy(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an address or a network, such as 10.0.0.0/8") from None


Proxy = Annotated[str, AfterValidator(_check_proxy)]


def _check_host(text: str) -> str:
    if text != "*" and _HOST.fullmatch(text) is None:
        raise ValueError("must be a name without port, or *")
    return text.lower()


_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
Host = Annotated[str, AfterValidator(_check_host)]


class WebSettings(Section):
    """`[web]`: address, HTTPS and proxies of the web server, and limits on dashboards."""

    host: str = "127.0.0.1"
    port: Port = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None  # None: no listener of its own
    root_path: str = ""
    trusted_proxies: tuple[Proxy, ...] = ()
    allowed_hosts: tuple[Host, ...] = ()  # besides addresses and this machine's own name; `*` allows any
    allowed_origins: tuple[str, ...] = ()  # besides the server's own; `*` allows any
    token_in_query: bool = False
    tls_cert_file: SettingsPath | None = None
    tls_key_file: SettingsPath | None = None
    max_connections: int = Field(5_000, ge=1, le=MAX_LIMIT)
    max_connections_per_user: int = Field(50, ge=1, le=MAX_LIMIT)
    max_requests_per_user: int = Field(10, ge=1, le=MAX_LIMIT)  # of HTTP, at once
    max_commands_per_second: int = Field(5, ge=1, le=MAX_LIMIT)  # of one user, with a burst of 4 s
    max_subscriptions: int = Field(100, ge=1, le=MAX_LIMIT)  # per connection
    max_filters: int = Field(2_000, ge=1, le=MAX_LIMIT)  # effective ones of all subscriptions of a connection
    max_frame_bytes: int = Field(65_536, ge=1_024, le=16 * 1024 * 1024)
    max_frames_per_second: int = Field(50, ge=1, le=MAX_LIMIT)  # from one client, with a burst of twice that
    max_bytes_per_second: int = Field(131_072, ge=1_024, le=MAX_LIMIT)  # from one dashboard, with a burst of 4 s
    max_unauthenticated: int = Field(6_000, ge=1, le=MAX_LIMIT)  # connections that belong to no user
    max_unauthenticated_bytes: int = Field(16_384, ge=1_024, le=MAX_LIMIT)  # from one WebSocket, in all
    turn_ms: float = Field(2.0, ge=0.1, le=1_000)  # of clients' work, between two polls of the sockets
    max_work_per_address: float = Field(100.0, ge=1, le=MAX_LIMIT)  # ms a second, with a burst of 5 s
    max_work_per_user: float = Field(200.0, ge=1, le=MAX_LIMIT)
    auth_timeout_seconds: float = Field(5.0, gt=0, le=60)
    stall_seconds: float = Field(30.0, gt=0, le=MAX_SECONDS)  # without progress this long: 4008
    command_timeout_seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)
