"""Order of delivery: nothing of a subscription before its confirmation, no position before its state.

Each of these was found by the seeded runs of tests/front/simulation.
"""

from pathlib import Path

import pytest

from bridge.domain.events import Event
from bridge.front import journal_reads as front_journal
from tests.front.journal_gate import JournalGate, andon, let_the_front_run
from tests.front.memory_front import MemoryFront, assignment, call, memory_front
from tests.support.brokers import until
from tests.support.dashboard import Frame
from tests.support.memory_dashboard import MemoryDashboard
from tests.support.tokens import token

NARROW = ["+/+/L1/#"]
WIDE = ["+/+/L1/#", "+/+/L2/#"]


def types(board: MemoryDashboard) -> list[str]:
    return [frame["type"] for frame in board.frames if frame["type"] != "link"]


async def granted(front: MemoryFront, read: list[str]) -> MemoryDashboard:
    return await front.join(roles=[], grants={"read": read})


def more_than_one_write(line: str) -> list[Event]:
    return [call(f"C{number}", line=line) for number in range(100)]


def proof(read: list[str]) -> Frame:
    return {"type": "auth", "token": token(roles=[], grants={"read": read})}


async def test_no_position_is_reported_while_the_snapshot_of_a_widened_subscription_is_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_journal, "PAGES_BYTES", 0)
    async with memory_front(tmp_path) as front:
        front.commit(call("C1", line="L2"))
        board = await granted(front, NARROW)
        gate = JournalGate(front, "events_after", after=True)
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        body = {"id": "a", "subscription_type": "andon"}
        await board.send("resume", subscriptions=[body], since=since)
        await gate.reached()
        await board.send(proof(WIDE))
        await let_the_front_run()
        gate.open()
        await board.receive("position")
        assert types(board).index("position") > types(board).index("snapshot_end")


async def test_a_snapshot_holds_what_is_granted_when_it_begins(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C0", line="L2"))
        board = await granted(front, NARROW)
        await board.send(andon("L1"), snapshot=False)
        await board.receive("position")
        gate = JournalGate(front, "snapshot", after=False)
        await board.send("subscribe", id="all", subscription_type="andon")
        await gate.reached()
        front.commit(*more_than_one_write("L1"))
        board.stop_reading()
        gate.open()
        await until(lambda: not board.socket.is_writable)
        await board.send(proof(WIDE))
        await let_the_front_run()
        board.read_on()
        await board.receive("widened")
        await board.until(lambda: types(board).count("snapshot_end") == 2)
        assert len([frame for frame in board.frames if frame["type"] == "snapshot_end" and frame["count"] < 101]) == 0


async def test_nothing_of_a_subscription_comes_before_its_confirmation(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        gate = JournalGate(front, "snapshot", after=False)
        await board.send(andon("L1"))
        await gate.reached()
        await board.send(andon("L2"), snapshot=False)
        await let_the_front_run()
        front.commit(call("C1", line="L2"))
        gate.open()
        await board.receive("andon_event", subject="C1")
        frames = [frame["type"] if "offset" in frame else frame.get("id") for frame in board.frames]
        assert frames.index("L2") < frames.index("andon_event")


async def test_a_subscription_that_is_asked_again_gets_the_snapshot_of_what_it_is_now(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1", line="L1"), call("C2", line="L2"))
        board = await front.join()
        gate = JournalGate(front, "snapshot", after=True)
        await board.send(andon("L3"), id="first")
        await gate.reached()
        await board.send(andon("L1"), id="a")
        await board.send(andon("L2"), id="a")
        await let_the_front_run()
        gate.open()
        await board.receive("snapshot_end", id="a")
        frames = [frame for frame in board.frames if frame.get("id") == "a" or "offset" in frame]
        assert [frame.get("target") or frame.get("offset") or frame["type"] for frame in frames] == [
            "L1", "L2", "snapshot_begin", 2, "snapshot_end",
        ]  # fmt: skip


async def test_a_subscription_repeated_behind_a_resume_is_not_replayed(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1", line="L1"), call("C2", line="L2"))
        board = await front.join()
        gate = JournalGate(front, "oldest_offset", after=True)
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        await board.send("resume", subscriptions=[{**andon("L1"), "id": "a"}], since=since)
        await gate.reached()
        await board.send(andon("L2"), id="a")
        await let_the_front_run()
        gate.open()
        await board.receive("snapshot_end", id="a")
        assert board.live_offsets == []
        assert board.offsets == [2]


async def test_no_snapshot_comes_after_the_end_of_its_subscription_was_confirmed(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send(andon("L2"), snapshot=False)
        await board.receive("position")
        gate = JournalGate(front, "snapshot", after=False)
        await board.send(andon("L1"))
        await gate.reached()
        front.commit(*more_than_one_write("L2"))
        board.stop_reading()
        gate.open()
        await until(lambda: not board.socket.is_writable)
        await board.send("unsubscribe", id="L1")
        await let_the_front_run()
        board.read_on()
        await board.receive("unsubscription_confirmed")
        front.commit(call("last", line="L2"))
        await board.receive("andon_event", subject="last")
        assert "snapshot_begin" not in types(board)


async def test_a_snapshot_is_never_overtaken_by_what_it_stands_for(tmp_path: Path) -> None:
    """An assignment that the snapshot knows to be over would come alive again."""
    async with memory_front(tmp_path) as front:
        board = await front.join(user="eva")
        await board.send(andon("L2"), snapshot=False)
        await board.receive("position")
        gate = JournalGate(front, "snapshot", after=False)
        await board.send("subscribe", id="jobs", subscription_type="job", target_id="J2")
        await gate.reached()
        unoffered = front.commit(assignment("J1", to="eva"), offer=False)
        gate.open()
        await board.receive("snapshot_end", id="jobs")
        front.core.on_committed(unoffered)
        front.commit(call("C1", line="L2"))
        await board.receive("andon_event", subject="C1")
        frames = [frame["type"] for frame in board.frames if "offset" in frame or frame["type"] == "snapshot_begin"]
        assert frames == ["job_assigned", "snapshot_begin", "andon_event"]
