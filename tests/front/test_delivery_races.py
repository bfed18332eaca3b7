"""The moments between: commits while the journal is read, subscriptions while events wait. No gap and no double."""

from pathlib import Path
from typing import Any

import pytest

from bridge.front import journal_reads as front_journal
from tests.front.journal_gate import Gate, andon, let_the_front_run
from tests.front.memory_front import call, memory_front, status
from tests.support.memory_dashboard import MemoryDashboard


@pytest.fixture
def from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every replay is read from the journal itself."""
    monkeypatch.setattr(front_journal, "PAGES_BYTES", 0)


def outline(board: MemoryDashboard) -> list[Any]:
    """Events by offset, snapshots by their frames' names."""
    shown = ("snapshot_begin", "snapshot_end")
    return [each.get("offset", each["type"]) for each in board.frames if "offset" in each or each["type"] in shown]


async def test_what_is_committed_before_the_snapshot_is_read_is_in_it_and_nowhere_else(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join()
        gate = Gate(shop, "snapshot", after=False)
        await board.send(andon("L1"))
        await gate.reached()
        shop.commit(call("C1"))
        unoffered = shop.commit(call("C2"), offer=False)
        gate.open()
        await board.receive("snapshot_end")
        shop.front.on_committed(unoffered)
        shop.commit(call("C3"))
        await board.receive("andon_event", subject="C3")
        assert outline(board) == ["snapshot_begin", 1, 2, "snapshot_end", 3]


async def test_what_is_committed_after_the_snapshot_was_read_follows_it(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(call("C1"))
        board = await shop.join()
        gate = Gate(shop, "snapshot", after=True)
        await board.send(andon("L1"))
        await gate.reached()
        shop.commit(call("C2"))
        gate.open()
        await board.receive("andon_event", subject="C2")
        assert outline(board) == ["snapshot_begin", 1, "snapshot_end", 2]


async def test_what_other_subscriptions_want_comes_before_a_snapshot_that_is_newer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        gate = Gate(shop, "snapshot", after=False)
        await board.send("subscribe", id="all", subscription_type="andon")
        await gate.reached()
        shop.commit(call("C1", line="L1"), call("C2", line="L2"))
        gate.open()
        await board.receive("snapshot_end")
        shop.commit(call("C3"))
        await board.receive("andon_event", subject="C3")
        assert outline(board) == [1, "snapshot_begin", 1, 2, "snapshot_end", 3]


async def test_a_subscription_whose_snapshot_is_to_come_gets_nothing_before_it(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join()
        gate = Gate(shop, "snapshot", after=False)
        await board.send(andon("L1"))
        await board.send(andon("L2"))
        await gate.reached()
        await board.send("ping")
        other = await shop.join(user="otto")
        await other.send("ping")
        await other.receive("pong")
        shop.commit(call("C1", line="L2"))
        gate.open()
        await board.receive("snapshot_end", id="L2")
        assert outline(board) == ["snapshot_begin", "snapshot_end", "snapshot_begin", 1, "snapshot_end"]


async def test_what_was_read_from_the_journal_ahead_of_its_offer_comes_once(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(call("C1"))
        board = await shop.join()
        unoffered = shop.commit(call("C2"), offer=False)
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        await board.receive("position", streams={"main": {"epoch": shop.journal.epoch, "offset": 1}})
        shop.front.on_committed(unoffered)
        shop.commit(call("C3"))
        await board.receive("andon_event", subject="C3")
        assert outline(board) == [1, 2, 3]


@pytest.mark.usefixtures("from_disk")
async def test_what_is_committed_during_a_replay_follows_it(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(call("C1"))
        board = await shop.join()
        gate = Gate(shop, "events_after", after=True)
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        await gate.reached()
        shop.commit(call("C2"))
        gate.open()
        await board.receive("andon_event", subject="C2")
        assert outline(board) == [1, 2]


@pytest.mark.usefixtures("from_disk")
async def test_what_ends_during_a_replay_is_not_told_again(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join()
        await board.send(andon("L1"), id="ends")
        await board.receive("snapshot_end")
        shop.commit(call("C1"), call("C2", line="L2"))
        await board.receive("andon_event", subject="C1")
        gate = Gate(shop, "events_after", after=True)
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[{"subscription_type": "andon"}], since=since)
        await gate.reached()
        await board.send("unsubscribe", id="ends")
        await board.send("explain", subscription_type="andon")  # what was asked before it was read too
        gate.open()
        await board.receive("explained")
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [1, 2]


async def test_a_replay_over_what_still_waits_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        await board.receive("position")
        board.stop_reading()
        for subject in ("C1", "C2", "C3"):
            shop.commit(call(subject, line="L1"), call(f"{subject}x", line="L2"))
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L2")], since=since)
        board.read_on()
        await board.receive("andon_event", subject="C3x")
        shop.commit(call("C4"))
        await board.receive("andon_event", subject="C4")
        assert sorted(board.live_offsets) == [1, 2, 3, 4, 5, 6, 7]


async def test_a_long_replay_sends_every_alarm_and_only_the_latest_of_each_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_journal, "PAGE_EVENTS", 3)
    async with memory_front(tmp_path) as shop:
        for number in range(6):
            shop.commit(status("L1"), call(f"C{number}"), status("L2"))
        board = await shop.join()
        body = {"id": "all", "subscription_type": "line"}
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[body], since=since)
        await board.receive("position", streams={"main": {"epoch": shop.journal.epoch, "offset": 18}})
        assert outline(board) == [2, 5, 8, 11, 14, 17, 16, 18]
        early = [each["streams"]["main"]["offset"] for each in board.frames if each["type"] == "position"][:-1]
        assert early == [3], "a state that a later one stands for is conflated, not owed"


async def test_no_position_is_told_before_there_is_something_to_resume(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(call())
        board = await shop.join()
        await board.receive("link")
        await board.send("ping")
        await board.receive("pong")
        await let_the_front_run()
        await board.send(andon("L1"))
        await board.receive("position")
        assert board.frames[-1]["type"] == "position"
        assert [each["type"] for each in board.frames].count("position") == 1


@pytest.mark.usefixtures("from_disk")
async def test_no_position_is_told_while_a_snapshot_is_to_come(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(call())
        board = await shop.join()
        gate = Gate(shop, "events_after", after=True)
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        await gate.reached()
        await board.send(andon("L2"))
        await let_the_front_run()
        gate.open()
        await board.receive("position")
        types = [each["type"] for each in board.frames]
        assert types.index("position") > types.index("snapshot_end")
