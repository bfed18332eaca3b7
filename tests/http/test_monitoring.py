"""The app of a pipeline alone over real sockets: health, and metrics for admins; nothing else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
import websockets

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.http.listener import listen
from bridge.http.load import ServerLoad
from bridge.http.monitoring import make_monitoring_app
from bridge.http.security_headers import SECURITY_HEADERS
from bridge.http.server import serve
from bridge.ports.clock import wall_ms
from bridge.ports.metrics import Metric, MetricSample
from bridge.settings.web import WebSettings
from tests.support.in_process import settings_with
from tests.support.tokens import bearer

AUTHENTICATOR = TokenAuthenticator.from_settings(settings_with())


@dataclass
class Pipeline:
    port: int
    ready: tuple[bool, str] = (True, "ready")

    def samples(self) -> Iterator[MetricSample]:
        yield MetricSample(Metric.PIPELINE_OFFSET, 7.0)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)


@asynccontextmanager
async def served(web: WebSettings | None = None, *, is_open: bool = False) -> AsyncIterator[Pipeline]:
    web, listener, started = web or WebSettings(), listen("127.0.0.1", 0), asyncio.Event()
    pipeline = Pipeline(listener.getsockname()[1])
    app = make_monitoring_app(
        authenticate=None if is_open else lambda token: AUTHENTICATOR.admit_in_steps(token, now=wall_ms()),
        ready=lambda: pipeline.ready,
        samples=pipeline.samples,
    )
    task = asyncio.create_task(serve(app, ServerLoad(web), listener=listener, started=started))
    try:
        await started.wait()
        yield pipeline
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_health_follows_the_readiness_check() -> None:
    async with served() as pipeline:
        assert (await pipeline.get("/health/live")).json() == {"live": True}
        assert (await pipeline.get("/health/ready")).json() == {"ready": True, "reason": "ready"}
        pipeline.ready = False, "no connection to the broker"
        response = await pipeline.get("/health/ready")
        assert response.status_code == 503
        assert response.json() == {"ready": False, "reason": "no connection to the broker"}
        metrics = await pipeline.get("/metrics", **bearer())
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert {"floor_ready 0.0", "floor_pipeline_offset 7.0"} <= set(metrics.text.splitlines())


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Nothing"])
async def test_metrics_are_for_admins_wherever_they_are(header: str) -> None:
    """A proxy on this machine, or a page in a browser here, is a client on this machine too."""
    async with served(WebSettings(trusted_proxies=("127.0.0.1",))) as behind_proxy, served() as direct:
        for pipeline in (behind_proxy, direct):
            refused = await pipeline.get("/metrics", **{header: "127.0.0.1"})
            assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHENTICATED")
            assert refused.headers["www-authenticate"] == "Bearer"
            for authorization, status in (
                (bearer(roles=("operator",)), 403),
                ({"Authorization": "Bearer a.b.c"}, 401),
                (bearer(), 200),
            ):
                response = await pipeline.get("/metrics", **{header: "127.0.0.1"}, **authorization)
                assert response.status_code == status


async def test_a_listener_of_their_own_shows_metrics_to_anyone() -> None:
    async with served(is_open=True) as pipeline:
        assert "floor_pipeline_offset 7.0" in (await pipeline.get("/metrics")).text


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("path", ["/", "/ws/events", "/ws/health", "/api/snapshot", "/openapi.json", "/health"])
async def test_it_serves_nothing_else(path: str, *, is_open: bool) -> None:
    async with served(is_open=is_open) as pipeline:
        response = await pipeline.get(path)
    assert response.json() == {"type": "error", "code": "INVALID_MESSAGE", "message": "not found"}
    assert response.status_code == 404
    assert SECURITY_HEADERS.items() <= dict(response.headers).items()


async def test_a_websocket_handshake_is_refused() -> None:
    """`floor watch` recognises a process without dashboards by this status."""
    async with served() as pipeline:
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await websockets.connect(f"ws://127.0.0.1:{pipeline.port}/ws")
    assert refusal.value.response.status_code == 403
