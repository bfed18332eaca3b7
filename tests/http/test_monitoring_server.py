"""The web server of a pipeline: health and metrics over real sockets, access to them, and bounds on a connection."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.clock import wall_ms
from bridge.http import monitoring_server
from bridge.http.listener import listen
from bridge.http.monitoring import Monitoring
from bridge.http.responses import SECURITY_HEADERS
from bridge.ports.metrics import Metric, MetricSample
from bridge.settings import WebSettings
from tests.support.certificates import self_signed
from tests.support.in_process import settings_with
from tests.support.tokens import bearer

DEADLINE = 10.0
PATHS = ("/health/live", "/health/ready", "/metrics")
FORWARDED = {"X-Forwarded-For": "203.0.113.7"}
AUTHENTICATOR = TokenAuthenticator.from_settings(settings_with())


@dataclass
class Served:
    port: int
    ready: tuple[bool, str] = (True, "ready")
    labels: Mapping[str, str] = field(default_factory=dict)

    def samples(self) -> Iterator[MetricSample]:
        yield MetricSample(Metric.PIPELINE_OFFSET, 7.0, self.labels)

    async def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers)

    async def send(self, data: bytes) -> bytes:
        """Return everything that is received until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(), DEADLINE)
        finally:
            writer.close()


@asynccontextmanager
async def serving(web: WebSettings | None = None) -> AsyncIterator[Served]:
    settings = web or WebSettings()
    with listen("127.0.0.1", 0) as listener:
        served = Served(listener.getsockname()[1])
        monitoring = Monitoring(
            ready=lambda: served.ready,
            samples=served.samples,
            authenticate=lambda token: AUTHENTICATOR.admit(token, now=wall_ms()),
            behind_proxy=bool(settings.trusted_proxies),
        )
        task = asyncio.create_task(monitoring_server.serve(monitoring, settings, listener=listener))
        try:
            yield served
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, DEADLINE)


async def test_health_follows_the_readiness_check() -> None:
    async with serving() as served:
        assert (await served.ask("GET", "/health/live")).json() == {"live": True}
        assert (await served.ask("GET", "/health/ready")).json() == {"ready": True, "reason": "ready"}
        served.ready = False, "no connection to the broker"
        response = await served.ask("GET", "/health/ready?verbose=1")
        assert response.status_code == 503
        assert response.json() == {"ready": False, "reason": "no connection to the broker"}
        assert "floor_ready 0.0" in (await served.ask("GET", "/metrics")).text


async def test_metrics_are_in_the_format_of_prometheus() -> None:
    async with serving() as served:
        response = await served.ask("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "floor_pipeline_offset 7.0" in response.text


async def test_every_response_has_the_security_headers_and_ends_its_connection() -> None:
    async with serving() as served:
        for path in (*PATHS, "/other"):
            response = await served.ask("GET", path)
            assert SECURITY_HEADERS.items() <= dict(response.headers).items()
            assert response.headers["connection"] == "close"
            assert {"date", "content-length"} <= response.headers.keys()
            assert "server" not in response.headers


async def test_metrics_are_for_admins_unless_the_client_is_on_this_machine() -> None:
    async with serving(WebSettings(trusted_proxies=("127.0.0.1",))) as behind_proxy, serving() as direct:
        for served, headers in ((behind_proxy, {}), (direct, FORWARDED)):
            refused = await served.ask("GET", "/metrics", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.json()["code"] == "UNAUTHENTICATED"
            for authorization, status in (
                (bearer(roles=("operator",)), 403),
                ({"Authorization": "Bearer a.b.c"}, 401),
                (bearer(), 200),
            ):
                assert (await served.ask("GET", "/metrics", headers=headers | authorization)).status_code == status


@pytest.mark.parametrize("path", ["/", "/ws", "/api/snapshot", "/health", "//health/live", "/%68ealth/live"])
async def test_there_is_nothing_else(path: str) -> None:
    async with serving() as served:
        response = await served.ask("GET", path)
    assert response.status_code == 404
    assert response.json() == {"type": "error", "code": "INVALID_MESSAGE", "message": "not found"}


async def test_only_get_is_allowed() -> None:
    async with serving() as served:
        for method in ("POST", "HEAD", "DELETE"):
            response = await served.ask(method, "/metrics")
            assert (response.status_code, response.headers["allow"]) == (405, "GET")


async def test_a_websocket_handshake_is_refused_as_by_a_front_without_such_a_route() -> None:
    upgrade = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with serving() as served:
        assert (await served.send(upgrade)).startswith(b"HTTP/1.1 403 Forbidden\r\n")


async def test_pipelined_requests_get_one_response() -> None:
    async with serving() as served:
        received = await served.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00", b"GET / FTP/1\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/9\r\n\r\n"],
)
async def test_what_is_no_request_is_refused(data: bytes) -> None:
    async with serving() as served:
        received = await served.send(data)
        assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
        assert (await served.ask("GET", "/health/live")).status_code == 200


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as served:
        received = await served.send(b"GET /metrics HTTP/1.1\r\nx: " + b"a" * (monitoring_server.HEAD_BYTES + 1))
    assert received.startswith(b"HTTP/1.1 431 ")


async def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring_server, "CONNECTION_SECONDS", 0.2)
    async with serving() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /metrics HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()


async def test_many_silent_connections_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring_server, "MAX_CONNECTIONS", 3)
    async with serving() as served:
        silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(9)]
        assert (await served.ask("GET", "/health/live")).status_code == 200
        assert await asyncio.wait_for(silent[0][0].read(), DEADLINE) == b""
        for _, writer in silent:
            writer.close()


async def test_a_bug_is_an_internal_error_and_no_more() -> None:
    async with serving() as served:
        served.labels = {"of": "no such label"}
        response = await served.ask("GET", "/metrics")
    assert response.status_code == 500
    assert response.json()["message"] == "internal error"


async def test_stopping_closes_the_port_and_every_connection() -> None:
    async with serving() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        assert (await served.ask("GET", "/health/live")).status_code == 200  # accepted after the one above
    assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
    writer.close()
    listen("127.0.0.1", served.port).close()


async def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    async with serving(WebSettings(tls_cert_file=certificate, tls_key_file=key)) as served:
        trusted = ssl.create_default_context(cafile=str(certificate))
        async with httpx.AsyncClient(verify=trusted) as client:
            response = await client.get(f"https://localhost:{served.port}/health/live")
        assert json.loads(response.text) == {"live": True}
        with socket.create_connection(("127.0.0.1", served.port)):
            pass  # a client that leaves before its handshake
