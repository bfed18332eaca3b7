"""Promise P5 where the viewer's own connection is half-open: nobody tells it, so it must tell by itself, within 5 s."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from bridge.front.web import server
from bridge.watch.client import WatchClient
from tests.support.brokers import until
from tests.support.browser_page import DEADLINE_MS, browser_page
from tests.support.front_server import call, served_front
from tests.support.socket_dashboard import dashboard
from tests.support.tcp_proxy import tcp_proxy
from tests.support.tokens import token

TOLD_SECONDS = 5.0
TOLD_MS = TOLD_SECONDS * 1_000


async def test_a_board_that_hears_nothing_greys_out_by_itself_and_comes_back(tmp_path: Path) -> None:
    async with (
        served_front(tmp_path) as served,
        tcp_proxy(served.port) as network,
        browser_page() as page,
    ):
        await page.goto(f"http://127.0.0.1:{network.port}/#token={token()}")
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=DEADLINE_MS)
        network.freeze()
        await expect(page.locator("body.stale #link")).to_have_text("the server is silent", timeout=TOLD_MS)
        network.thaw()
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=DEADLINE_MS)


@pytest.mark.faults
async def test_a_board_leaves_a_dead_connection_for_a_new_one(tmp_path: Path) -> None:
    async with (
        served_front(tmp_path) as served,
        tcp_proxy(served.port) as network,
        browser_page() as page,
    ):
        await page.goto(f"http://127.0.0.1:{network.port}/#token={token()}")
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=DEADLINE_MS)
        network.freeze_passages()
        await expect(page.locator("body.stale")).to_be_visible(timeout=TOLD_MS)
        served.commit(call())
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=2 * DEADLINE_MS)
        await expect(page.locator("#events tr")).to_have_count(1, timeout=DEADLINE_MS)


@contextlib.asynccontextmanager
async def watching(port: int) -> AsyncIterator[list[dict[str, Any]]]:
    """What `floor watch` shows of everything."""
    shown: list[dict[str, Any]] = []
    watch = WatchClient(
        url=f"ws://127.0.0.1:{port}/ws",
        token=token,
        subscriptions=[{"id": "all", "subscription_type": "line"}],
        on_frame=shown.append,
    )
    task = asyncio.create_task(watch.run(), name="watch")
    try:
        yield shown
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_floor_watch_says_when_it_hears_nothing_and_goes_on_with_a_new_connection(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, tcp_proxy(served.port) as network:
        async with watching(network.port) as shown:
            await until(lambda: any(each["type"] == "link" for each in shown), what="connected")
            network.freeze_passages()
            began = time.monotonic()
            lost = {"type": "link_lost", "reason": "the server is silent"}
            await until(lambda: lost in shown, seconds=TOLD_SECONDS, what="told")
            assert time.monotonic() - began > 1.0, "a pause is no silence"
            served.commit(call())
            await until(lambda: any(each.get("offset") == 1 for each in shown), what="healed")
        assert not [each for each in shown if each["type"] in ("error", "pong")]


@pytest.mark.faults
async def test_an_idle_watch_of_a_front_that_is_there_is_not_called_silent(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, tcp_proxy(served.port) as network:
        async with watching(network.port) as shown:
            # past the time after which silence is told
            await until(lambda: network.connections == 1 and _positions(shown) >= 3, seconds=20, what="positions")
        assert "link_lost" not in {each["type"] for each in shown}


def _positions(shown: list[dict[str, Any]]) -> int:
    return sum(each["type"] == "position" for each in shown)


@pytest.mark.parametrize("unread", [0, 2_000], ids=["idle", "with unread events"])
async def test_the_front_frees_a_dashboard_that_is_gone_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 0.2)  # of 20
    monkeypatch.setattr(server, "PONG_SECONDS", 0.6)  # of 60
    monkeypatch.setattr(server, "CLOSE_SECONDS", 0.2)
    async with (
        served_front(tmp_path, send_buffer=4_096) as served,
        tcp_proxy(served.port) as network,
        dashboard(network.port, narrow=True, close_timeout=0.1) as board,
    ):
        await board.snapshot(subscription_type="line")
        assert served.front.statistics()["connections"] == 1
        network.freeze()
        for number in range(unread):
            served.commit(call(f"L1.call.{number}"))
        await until(lambda: served.front.statistics()["connections"] == 0, what="freed")
        statistics = served.front.statistics()
        assert statistics["balanced"]
        assert statistics["subscriptions"] == {}


@pytest.mark.faults
async def test_a_slow_but_living_dashboard_is_not_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 0.2)
    monkeypatch.setattr(server, "PONG_SECONDS", 1.5)
    async with served_front(tmp_path) as served, tcp_proxy(served.port) as network:
        network.to_client.delay_seconds = network.to_server.delay_seconds = 0.2
        async with dashboard(network.port) as board:
            began = time.monotonic()
            while time.monotonic() - began < 3.0:
                await board.ask("ping", "pong")
            await served.front.shutdown(spread_seconds=1.0)
            assert (await board.closed())[0] == 1012
