"""A lost link is reported to every dashboard, also to one that is far behind, or one that waits for the journal."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.ports.journal import JournalError
from tests.front.memory_front import NOON, MemoryFront, call, memory_front
from tests.support.dashboard import PATIENCE
from tests.support.memory_dashboard import MemoryDashboard

LAST_CALL = 200


def lose_link(front: MemoryFront) -> None:
    front.core.set_link_state(broker_connected=True, stream_live=False, last_seen=NOON)


async def live_board(front: MemoryFront) -> MemoryDashboard:
    front.core.set_link_state(broker_connected=True, stream_live=True, last_seen=NOON)
    board = await front.join()
    await board.receive("link")
    return board


def on_frame(board: MemoryDashboard, marked: Callable[[], bool], happens: Callable[[], None]) -> None:
    """Have something happen as soon as the board has got the frame that makes `marked` true."""
    pending = [happens]

    def look(_text: str) -> None:
        if pending and marked():
            pending.pop()()

    board.on_text = look


def link_frames_after(board: MemoryDashboard) -> list[int]:
    """Return the events received after the link was reported lost."""
    at = next(n for n, frame in enumerate(board.frames) if frame["type"] == "link" and not live(frame))
    return [frame["offset"] for frame in board.frames[at:] if "offset" in frame]


def live(link: dict[str, object]) -> bool:
    streams = link["streams"]
    assert isinstance(streams, dict)
    return all(stream["live"] for stream in streams.values())


@pytest.mark.parametrize("batch", [False, True])
async def test_a_lost_link_is_reported_during_a_snapshot(tmp_path: Path, *, batch: bool) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(*(call(f"C{number}") for number in range(LAST_CALL)))
        board = await live_board(front)
        if batch:
            await board.send("options", batch=True, batch_ms=0)
            await board.receive("options")
        on_frame(board, lambda: len(board.offsets) >= 5, lambda: lose_link(front))
        await board.send("subscribe", subscription_type="line")
        await board.receive("snapshot_end")
        assert len(link_frames_after(board)) >= LAST_CALL / 4


async def test_a_lost_link_is_reported_during_a_replay(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(*(call(f"C{number}") for number in range(LAST_CALL)))
        board = await live_board(front)
        on_frame(board, lambda: len(board.offsets) >= 5, lambda: lose_link(front))
        since = {"main": {"epoch": front.journal.position().epoch, "offset": 0}}
        await board.send("resume", subscriptions=[{"subscription_type": "line"}], since=since)
        await board.receive("andon_event", subject=f"C{LAST_CALL - 1}")
        assert len(link_frames_after(board)) >= LAST_CALL / 4


async def test_a_lost_link_is_reported_while_the_journal_does_not_answer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await live_board(front)
        answers, read = threading.Event(), front.journal.snapshot
        front.journal.snapshot = lambda: (answers.wait(PATIENCE), read())[1]  # type: ignore[method-assign]
        await board.send("subscribe", subscription_type="line")
        await board.receive("subscription_confirmed")
        lose_link(front)
        try:
            await board.receive("link")
            assert not live(board.last("link"))
        finally:
            answers.set()
        await board.receive("snapshot_end")


async def test_dashboards_disconnected_by_a_failing_journal_return_spread_over_time(tmp_path: Path) -> None:
    """At once and all together they would ask a journal that fails as fast as they can connect."""
    async with memory_front(tmp_path) as front:

        def fails() -> None:
            raise JournalError("the disk does not answer")

        front.journal.snapshot = fails  # type: ignore[assignment]
        pauses = set()
        for _ in range(5):
            board = await front.join()
            await board.send("subscribe", subscription_type="line")
            code, reason = await board.closed()
            assert code == 1012
            pauses.add(reason)
            await asyncio.sleep(0)
        assert len(pauses) == 5
        assert '{"retry_after":0.0}' not in pauses
