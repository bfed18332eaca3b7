"""Settings of `[web]`."""

from pydantic import Field

from bridge.settings.section import MAX_LIMIT, MAX_SECONDS, Port, Section, SettingsPath


class WebSettings(Section):
    """`[web]`: address, HTTPS and proxies of the web server, and limits on dashboards."""

    host: str = "127.0.0.1"
    port: Port = 8080
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()  # besides the server's own; `*` allows any
    token_in_query: bool = False
    tls_cert_file: SettingsPath | None = None
    tls_key_file: SettingsPath | None = None
    max_connections: int = Field(5_000, ge=1, le=MAX_LIMIT)
    max_connections_per_user: int = Field(50, ge=1, le=MAX_LIMIT)
    max_subscriptions: int = Field(100, ge=1, le=MAX_LIMIT)  # per connection
    max_frame_bytes: int = Field(65_536, ge=1_024, le=16 * 1024 * 1024)
    max_frames_per_second: int = Field(50, ge=1, le=MAX_LIMIT)  # from one client, with a burst of twice that
    auth_timeout_seconds: float = Field(5.0, gt=0, le=60)
    stall_seconds: float = Field(30.0, gt=0, le=MAX_SECONDS)  # without progress this long: 4008
    command_timeout_seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)
