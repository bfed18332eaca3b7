"""What is not live is told to every dashboard, also to one that has much to read first, or waits for the journal."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.ports.journal import JournalError
from tests.front.memory_front import NOON, MemoryFront, call, memory_front
from tests.support.dashboard import PATIENCE
from tests.support.memory_dashboard import MemoryDashboard

LAST_CALL = 40


def lose_link(shop: MemoryFront) -> None:
    shop.front.set_link_state(broker_connected=True, stream_live=False, last_seen=NOON)


async def live_board(shop: MemoryFront) -> MemoryDashboard:
    shop.front.set_link_state(broker_connected=True, stream_live=True, last_seen=NOON)
    board = await shop.join()
    await board.receive("link")
    return board


def on_frame(board: MemoryDashboard, marked: Callable[[], bool], happens: Callable[[], None]) -> None:
    """Have something happen as soon as the board has got the frame that makes `marked` true."""
    pending = [happens]

    def look(_text: str) -> None:
        if pending and marked():
            pending.pop()()

    board.on_text = look


def told_after(board: MemoryDashboard) -> list[int]:
    """The events that came after the link was told lost."""
    at = next(n for n, each in enumerate(board.frames) if each["type"] == "link" and not live(each))
    return [each["offset"] for each in board.frames[at:] if "offset" in each]


def live(link: dict[str, object]) -> bool:
    streams = link["streams"]
    assert isinstance(streams, dict)
    return all(each["live"] for each in streams.values())


@pytest.mark.parametrize("batch", [False, True])
async def test_it_is_told_in_the_middle_of_a_snapshot(tmp_path: Path, *, batch: bool) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(*(call(f"C{number}") for number in range(LAST_CALL)))
        board = await live_board(shop)
        if batch:
            await board.send("options", batch=True, batch_ms=0)
            await board.receive("options")
        on_frame(board, lambda: len(board.offsets) >= 5, lambda: lose_link(shop))
        await board.send("subscribe", subscription_type="line")
        await board.receive("snapshot_end")
        assert len(told_after(board)) >= LAST_CALL / 4


async def test_it_is_told_in_the_middle_of_a_replay(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(*(call(f"C{number}") for number in range(LAST_CALL)))
        board = await live_board(shop)
        on_frame(board, lambda: len(board.offsets) >= 5, lambda: lose_link(shop))
        since = {"main": {"epoch": shop.journal.position().epoch, "offset": 0}}
        await board.send("resume", subscriptions=[{"subscription_type": "line"}], since=since)
        await board.receive("andon_event", subject=f"C{LAST_CALL - 1}")
        assert told_after(board) == list(range(6, LAST_CALL + 1))


async def test_it_is_told_while_the_journal_does_not_answer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await live_board(shop)
        answers, read = threading.Event(), shop.journal.snapshot
        shop.journal.snapshot = lambda: (answers.wait(PATIENCE), read())[1]  # type: ignore[method-assign]
        await board.send("subscribe", subscription_type="line")
        await board.receive("subscription_confirmed")
        lose_link(shop)
        try:
            await board.receive("link")
            assert not live(board.last("link"))
        finally:
            answers.set()
        await board.receive("snapshot_end")


async def test_whom_a_journal_that_fails_sends_away_comes_back_spread_over_time(tmp_path: Path) -> None:
    """At once and all together they would ask a journal that fails as fast as they can connect."""
    async with memory_front(tmp_path) as shop:

        def fails() -> None:
            raise JournalError("the disk does not answer")

        shop.journal.snapshot = fails  # type: ignore[assignment]
        pauses = set()
        for _ in range(5):
            board = await shop.join()
            await board.send("subscribe", subscription_type="line")
            code, reason = await board.closed()
            assert code == 1012
            pauses.add(reason)
            await asyncio.sleep(0)
        assert len(pauses) == 5
        assert '{"retry_after":0.0}' not in pauses
