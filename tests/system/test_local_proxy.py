"""What is on the bridge's machine, a proxy or a scraper, sees no more than others; metrics have a port for it."""

import asyncio
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.support.bridge_process import bridge_process
from tests.support.brokers import RunningBroker, free_port
from tests.support.raw_http import exchange
from tests.support.socket_dashboard import http
from tests.support.tcp_proxy import tcp_proxy

GUESS = b"GET /api/snapshot HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\nConnection: close\r\n\r\n"
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PATHS = ("/metrics", "/ws/health", "/api/events", "/api/snapshot", "/api/explain")


@pytest.mark.parametrize("fronts", [None, 0])
async def test_a_proxy_on_the_machine_opens_nothing_and_a_port_for_metrics_only_these(
    tmp_path: Path, mosquitto: RunningBroker, fronts: int | None
) -> None:
    port = free_port()
    environment = {"FLOOR_WEB__METRICS_PORT": str(port)}
    async with bridge_process(tmp_path, mosquitto, environment=environment, fronts=fronts) as bridge:
        async with tcp_proxy(bridge.port) as proxy:
            statuses = {(await http(proxy.port, path)).status for path in PATHS}
        assert statuses <= {401, 404}
        assert (await http(bridge.port, "/metrics")).status == 401
        opened = (await http(port, "/metrics")).body.decode()
        assert "floor_ready 1.0" in opened
        assert ("floor_dashboard_connections" in opened) is (fronts is None)
        assert (await http(port, "/health/ready")).status == 200
        for path in ("/", "/ws", "/ws/health", "/api/snapshot", "/openapi.json"):
            with pytest.raises(HTTPError, match="404"):
                await asyncio.to_thread(urlopen, f"http://127.0.0.1:{port}{path}", timeout=5)
        assert await bridge.stop() == 0


async def test_a_health_check_does_not_wait_for_what_its_address_owes_on_the_other_port(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    port = free_port()
    async with bridge_process(tmp_path, mosquitto, environment={"FLOOR_WEB__METRICS_PORT": str(port)}) as bridge:
        guesses = await asyncio.gather(*(exchange(bridge.port, GUESS) for _ in range(100)))
        assert [answer.status for answer in guesses] == [401] * 100
        waiting = [asyncio.create_task(exchange(bridge.port, GUESS)) for _ in range(5)]
        for _ in range(5):
            assert (await exchange(port, HEALTH)).status == 200
        assert not any(task.done() for task in waiting), "the address owes"
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
