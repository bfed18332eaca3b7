"""Promise P5 where the viewer's own connection is half-open: the board must detect it by itself within 5 s."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from bridge.http import websocket
from bridge.watch.client import WatchClient
from tests.support.brokers import until
from tests.support.browser_page import DEADLINE_MS, browser_page
from tests.support.front_server import ServedFront, call, served_front
from tests.support.socket_dashboard import dashboard
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.tokens import token

REPORTED_SECONDS = 5.0
REPORTED_MS = REPORTED_SECONDS * 1_000


@contextlib.asynccontextmanager
async def live_board(folder: Path) -> AsyncIterator[tuple[ServedFront, TcpProxy, Page]]:
    """Run a front, and a browser whose board shows it live through a proxy."""
    async with served_front(folder) as served, tcp_proxy(served.port) as network, browser_page() as page:
        await page.goto(f"http://127.0.0.1:{network.port}/#token={token()}")
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=DEADLINE_MS)
        yield served, network, page


async def test_a_board_without_messages_greys_out_by_itself_and_recovers(tmp_path: Path) -> None:
    async with live_board(tmp_path) as (_, network, page):
        network.freeze()
        await expect(page.locator("body.stale #link")).to_have_text("the server is silent", timeout=REPORTED_MS)
        network.thaw()
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=DEADLINE_MS)


@pytest.mark.faults
async def test_a_board_leaves_a_dead_connection_for_a_new_one(tmp_path: Path) -> None:
    async with live_board(tmp_path) as (served, network, page):
        network.freeze_passages()
        await expect(page.locator("body.stale")).to_be_visible(timeout=REPORTED_MS)
        served.commit(call())
        await expect(page.locator("body:not(.stale) #link")).to_have_text("live", timeout=2 * DEADLINE_MS)
        await expect(page.locator("#events tr")).to_have_count(1, timeout=DEADLINE_MS)


@contextlib.asynccontextmanager
async def watching(port: int) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the frames that `floor watch` shows, of all events."""
    frames: list[dict[str, Any]] = []
    watch = WatchClient(
        url=f"ws://127.0.0.1:{port}/ws",
        token=token,
        subscriptions=[{"id": "all", "subscription_type": "line"}],
        on_frame=frames.append,
    )
    task = asyncio.create_task(watch.run(), name="watch")
    try:
        yield frames
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_floor_watch_reports_silence_and_continues_with_a_new_connection(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, tcp_proxy(served.port) as network:
        async with watching(network.port) as frames:
            await until(lambda: any(frame["type"] == "link" for frame in frames), what="connected")
            network.freeze_passages()
            began = time.monotonic()
            lost = {"type": "link_lost", "reason": "the server is silent"}
            await until(lambda: lost in frames, seconds=REPORTED_SECONDS, what="the lost link")
            assert time.monotonic() - began > 1.0, "a pause is no silence"
            served.commit(call())
            await until(lambda: any(frame.get("offset") == 1 for frame in frames), what="healed")
        assert not [frame for frame in frames if frame["type"] in ("error", "pong")]


@pytest.mark.faults
async def test_an_idle_watch_of_a_front_that_is_there_is_not_called_silent(tmp_path: Path) -> None:
    async with served_front(tmp_path) as served, tcp_proxy(served.port) as network:
        async with watching(network.port) as frames:
            # past the time after which silence is reported
            await until(lambda: network.connections == 1 and _positions(frames) >= 3, seconds=20, what="positions")
        assert "link_lost" not in {frame["type"] for frame in frames}


def _positions(frames: list[dict[str, Any]]) -> int:
    return sum(frame["type"] == "position" for frame in frames)


@pytest.mark.parametrize("unread", [0, 2_000], ids=["idle", "with unread events"])
async def test_the_front_frees_a_dashboard_that_vanished_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.2)  # of 20
    monkeypatch.setattr(websocket, "PONG_SECONDS", 0.6)  # of 60
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.2)
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
        assert (statistics["subscriptions"], statistics["cohorts"], statistics["events_behind"]) == ({}, 0, 0)


@pytest.mark.faults
async def test_a_slow_but_living_dashboard_is_not_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.2)
    monkeypatch.setattr(websocket, "PONG_SECONDS", 1.5)
    async with served_front(tmp_path) as served, tcp_proxy(served.port) as network:
        network.to_client.delay_seconds = network.to_server.delay_seconds = 0.2
        async with dashboard(network.port) as board:
            began = time.monotonic()
            while time.monotonic() - began < 3.0:
                await board.ask("ping", "pong")
            served.front.shutdown(spread_seconds=1.0)
            assert (await board.closed())[0] == 1012
