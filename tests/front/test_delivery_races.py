"""The moments between: commits while the journal is read, subscriptions while events wait. No gap and no double."""

import asyncio
import threading
from pathlib import Path
from typing import Any, Literal

import pytest

from bridge.front import journal_reads as front_journal
from tests.front.memory_front import Floor, call, floor, status
from tests.support.dashboard import PATIENCE, Frame
from tests.support.memory_dashboard import MemoryDashboard

Reading = Literal["snapshot", "events_after", "oldest_offset"]


class Gate:
    """Holds the journal's next read of a kind, before it reads or after, until the test opens."""

    def __init__(self, shop: Floor, reading: Reading, *, after: bool) -> None:
        self._read: Any = getattr(shop.journal, reading)
        self._after = after
        self._reached = threading.Event()
        self._open = threading.Event()
        setattr(shop.journal, reading, self)

    def __call__(self, *args: Any, **options: Any) -> Any:
        result = self._read(*args, **options) if self._after else None
        self._reached.set()
        assert self._open.wait(PATIENCE)
        return result if self._after else self._read(*args, **options)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, PATIENCE)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every replay is read from the journal itself."""
    monkeypatch.setattr(front_journal, "PAGES_BYTES", 0)


def andon(line: str) -> Frame:
    return {"type": "subscribe", "id": line, "subscription_type": "andon", "target_id": line}


def outline(board: MemoryDashboard) -> list[Any]:
    """Events by offset, snapshots by their frames' names."""
    shown = ("snapshot_begin", "snapshot_end")
    return [each.get("offset", each["type"]) for each in board.frames if "offset" in each or each["type"] in shown]


async def test_what_is_committed_before_the_snapshot_is_read_is_in_it_and_nowhere_else(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
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
    async with floor(tmp_path) as shop:
        shop.commit(call())
        board = await shop.join()
        await board.receive("link")
        await board.send("ping")
        await board.receive("pong")
        await _let_the_front_work()
        await board.send(andon("L1"))
        await board.receive("position")
        assert board.frames[-1]["type"] == "position"
        assert [each["type"] for each in board.frames].count("position") == 1


@pytest.mark.usefixtures("from_disk")
async def test_no_position_is_told_while_a_snapshot_is_to_come(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        shop.commit(call())
        board = await shop.join()
        gate = Gate(shop, "events_after", after=True)
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        await gate.reached()
        await board.send(andon("L2"))
        await _let_the_front_work()
        gate.open()
        await board.receive("position")
        types = [each["type"] for each in board.frames]
        assert types.index("position") > types.index("snapshot_end")


async def test_what_waits_for_an_ended_subscription_is_dropped(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        for line in ("L1", "L2"):
            await board.ask(andon(line), "subscription_confirmed", snapshot=False)
        await board.receive("position")
        board.stop_reading()
        shop.commit(call("C1", line="L2"))
        await _let_the_front_work()
        shop.commit(call("C2", line="L1"), call("C3", line="L2"))
        await board.send("unsubscribe", id="L1")
        await _let_the_front_work()
        shop.commit(call("C4", line="L1"), call("C5", line="L2"))
        board.read_on()
        await board.receive("andon_event", subject="C5")
        assert board.live_offsets == [1, 3, 5]
        assert shop.front.statistics()["ledger"]["revoked"] == {"andon_event": 1}


async def test_an_ending_does_not_wait_for_all_that_waits(tmp_path: Path) -> None:
    async with floor(tmp_path, max_frame_bytes=1_024) as shop:
        board = await shop.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        await board.receive("position")
        board.stop_reading()
        for number in range(50):
            shop.commit(call(f"C{number}"))
        await board.send_text("x" * 2000)
        await _let_the_front_work()
        board.read_on()
        assert (await board.closed())[0] == 1009
        assert len(board.live_offsets) < 5


async def test_with_batching_a_state_waits_for_company_and_an_alarm_does_not(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        await board.send("subscribe", subscription_type="line", snapshot=False)
        await board.send("options", batch=True, batch_ms=1_000)
        await board.receive("options")
        await board.receive("position")
        shop.commit(status("L1"))
        await _let_the_front_work()
        shop.commit(status("L2"))
        await _let_the_front_work()
        assert board.live_offsets == []
        loop = asyncio.get_running_loop()
        before = loop.time()
        shop.commit(call())
        await board.receive("andon_event")
        assert loop.time() - before < 0.9
        assert board.live_offsets == [1, 2, 3]
        [array] = [text for text in board.texts if "andon_event" in text]
        assert "line_status_update" in array
        shop.commit(status("L3"))
        await board.receive("line_status_update", offset=4)


@pytest.mark.usefixtures("from_disk")
async def test_a_dashboard_that_falls_behind_what_the_journal_holds_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with floor(tmp_path) as shop:
        shop.commit(call("C1"), call("C2"), call("C3"))
        held = shop.journal.events_after
        monkeypatch.setattr(shop.journal, "events_after", lambda _offset, *, limit: held(1, limit=limit))
        board = await shop.join()
        since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[andon("L1")], since=since)
        assert (await board.closed())[0] == 4008
        assert board.live_offsets == []


async def _let_the_front_work() -> None:
    """Let every task that can run do so; nothing here depends on how long that takes."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_is_told_a_gap_gets_the_snapshot_next(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        await board.receive("position")
        board.stop_reading()
        for number in range(5):
            shop.commit(call(f"C{number}"))
            await _let_the_front_work()
        await board.send("resume", subscriptions=[andon("L1")], since={"main": {"epoch": "other", "offset": 1}})
        await _let_the_front_work()
        board.read_on()
        await board.receive("snapshot_end")
        resumed = board.types.index("resumed")
        assert board.types[resumed + 1] == "snapshot_begin"
