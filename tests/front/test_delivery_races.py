"""The moments between: commits while the journal is read, subscriptions while events wait. No gap and no double."""

from pathlib import Path
from typing import Any

import pytest

from bridge.domain.events import Standing
from bridge.front import current_events
from bridge.front import journal_reads as front_journal
from tests.front.journal_gate import JournalGate, andon, let_the_front_run
from tests.front.memory_front import call, memory_front, status
from tests.support.memory_dashboard import MemoryDashboard


@pytest.fixture
def from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every replay is read from the journal itself."""
    monkeypatch.setattr(front_journal, "PAGES_BYTES", 0)


def outline(board: MemoryDashboard) -> list[Any]:
    """Events by offset, snapshots by their frames' names."""
    types = ("snapshot_begin", "snapshot_end")
    return [frame.get("offset", frame["type"]) for frame in board.frames if "offset" in frame or frame["type"] in types]


async def test_events_committed_before_the_snapshot_is_read_are_only_in_it(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        gate = JournalGate(front, "snapshot", after=False)
        await board.send(andon("L1"))
        await gate.reached()
        front.commit(call("C1"))
        unoffered = front.commit(call("C2"), offer=False)
        gate.open()
        await board.receive("snapshot_end")
        front.core.on_committed(unoffered)
        front.commit(call("C3"))
        await board.receive("andon_event", subject="C3")
        assert outline(board) == ["snapshot_begin", 1, 2, "snapshot_end", 3]


async def test_events_committed_after_the_current_events_were_read_are_in_the_snapshot(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"))
        board = await front.join()
        gate = JournalGate(front, "snapshot", after=True)
        await board.send(andon("L1"))
        await gate.reached()
        front.commit(call("C2"))
        gate.open()
        await board.receive("snapshot_end")
        front.commit(call("C3"))
        await board.receive("andon_event", subject="C3")
        assert outline(board) == ["snapshot_begin", 1, 2, "snapshot_end", 3]


async def test_events_committed_while_a_snapshot_is_matched_follow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_events, "YIELD_EVERY", 1)
    async with memory_front(tmp_path) as front:
        front.commit(*(call(f"C{number}") for number in range(100)))
        board = await front.join()
        await board.send(andon("L2"))
        await board.receive("snapshot_end")
        await board.send(andon("L1"))
        await let_the_front_run()
        assert front.core.statistics()["snapshot_builds"] == 2, "it is being matched"
        front.commit(call("C0"), call("C99", status="closed", standing=Standing.CLOSED))
        assert outline(board) == ["snapshot_begin", "snapshot_end"], "that of L2"
        await board.receive("andon_event", subject="C99", offset=102)
        assert outline(board)[2:] == ["snapshot_begin", *range(1, 101), "snapshot_end", 101, 102]


async def test_events_of_other_subscriptions_precede_a_newer_snapshot(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        gate = JournalGate(front, "snapshot", after=False)
        await board.send("subscribe", id="all", subscription_type="andon")
        await gate.reached()
        front.commit(call("C1", line="L1"), call("C2", line="L2"))
        gate.open()
        await board.receive("snapshot_end")
        front.commit(call("C3"))
        await board.receive("andon_event", subject="C3")
        assert outline(board) == [1, "snapshot_begin", 1, 2, "snapshot_end", 3]


async def test_a_subscription_whose_snapshot_is_to_come_gets_nothing_before_it(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        gate = JournalGate(front, "snapshot", after=False)
        await board.send(andon("L1"))
        await board.send(andon("L2"))
        await gate.reached()
        await board.send("ping")
        other = await front.join(user="otto")
        await other.send("ping")
        await other.receive("pong")
        front.commit(call("C1", line="L2"))
        gate.open()
        await board.receive("snapshot_end", id="L2")
        assert outline(board) == ["snapshot_begin", "snapshot_end", "snapshot_begin", 1, "snapshot_end"]


async def test_an_event_read_from_the_journal_before_its_offer_is_sent_once(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"))
        board = await front.join()
        unoffered = front.commit(call("C2"), offer=False)
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        await board.receive("position", streams={"main": {"epoch": front.journal.epoch, "offset": 1}})
        front.core.on_committed(unoffered)
        front.commit(call("C3"))
        await board.receive("andon_event", subject="C3")
        assert outline(board) == [1, 2, 3]


@pytest.mark.usefixtures("from_disk")
async def test_events_committed_during_a_replay_follow_it(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"))
        board = await front.join()
        gate = JournalGate(front, "events_after", after=True)
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        await gate.reached()
        front.commit(call("C2"))
        gate.open()
        await board.receive("andon_event", subject="C2")
        assert outline(board) == [1, 2]


@pytest.mark.usefixtures("from_disk")
async def test_events_that_close_during_a_replay_are_not_sent_again(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send(andon("L1"), id="ends")
        await board.receive("snapshot_end")
        front.commit(call("C1"), call("C2", line="L2"))
        await board.receive("andon_event", subject="C1")
        gate = JournalGate(front, "events_after", after=True)
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[{"subscription_type": "andon"}], since=since)
        await gate.reached()
        await board.send("unsubscribe", id="ends")
        await board.send("explain", subscription_type="andon")  # what was asked before it was read too
        gate.open()
        await board.receive("explained")
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [1, 2]


async def test_a_replay_over_what_still_waits_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        await board.receive("position")
        board.stop_reading()
        for subject in ("C1", "C2", "C3"):
            front.commit(call(subject, line="L1"), call(f"{subject}x", line="L2"))
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L2")], since=since)
        board.read_on()
        await board.receive("andon_event", subject="C3x")
        front.commit(call("C4"))
        await board.receive("andon_event", subject="C4")
        assert sorted(board.live_offsets) == [1, 2, 3, 4, 5, 6, 7]


async def test_a_long_replay_sends_every_alarm_and_only_the_latest_of_each_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_journal, "PAGE_EVENTS", 3)
    async with memory_front(tmp_path) as front:
        for number in range(6):
            front.commit(status("L1"), call(f"C{number}"), status("L2"))
        board = await front.join()
        body = {"id": "all", "subscription_type": "line"}
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[body], since=since)
        await board.receive("position", streams={"main": {"epoch": front.journal.epoch, "offset": 18}})
        assert outline(board) == [2, 5, 8, 11, 14, 16, 17, 18]
        early = [frame["streams"]["main"]["offset"] for frame in board.frames if frame["type"] == "position"][:-1]
        assert early == [3], "a state that a later one stands for is conflated, not owed"


async def test_no_position_is_reported_before_there_is_something_to_resume(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call())
        board = await front.join()
        await board.receive("link")
        await board.send("ping")
        await board.receive("pong")
        await let_the_front_run()
        await board.send(andon("L1"))
        await board.receive("position")
        assert board.frames[-1]["type"] == "position"
        assert [frame["type"] for frame in board.frames].count("position") == 1


@pytest.mark.usefixtures("from_disk")
async def test_no_position_is_reported_while_a_snapshot_is_to_come(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call())
        board = await front.join()
        gate = JournalGate(front, "events_after", after=True)
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        await gate.reached()
        await board.send(andon("L2"))
        await let_the_front_run()
        gate.open()
        await board.receive("position")
        types = [frame["type"] for frame in board.frames]
        assert types.index("position") > types.index("snapshot_end")
