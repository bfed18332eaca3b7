"""Resume, slow dashboards and conflated counts: promises P2 and P3."""

from pathlib import Path

import pytest

from bridge.domain.events import Standing
from tests.front.journal_gate import let_the_front_run
from tests.front.memory_front import MemoryFront, assignment, call, memory_front, status
from tests.support.dashboard import Frame


def since(front: MemoryFront, offset: int) -> Frame:
    return {"main": {"epoch": front.journal.epoch, "offset": offset}}


async def test_resume_replays_what_was_missed_once_over_the_union(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), status(state="running"), call("C2"), status(state="stopped"), call("C3", line="L2"))
        board = await front.join()
        bodies = [
            {"id": "a", "subscription_type": "andon", "target_id": "L1"},
            {"id": "b", "subscription_type": "line", "target_id": "L1"},
        ]
        await board.send("resume", subscriptions=bodies, since=since(front, 1))
        resumed = await board.receive("resumed")
        assert resumed["streams"] == {"main": {"recovered": True}}
        assert [subscription["id"] for subscription in resumed["subscriptions"]] == ["a", "b"]
        await board.receive("line_status_update")
        front.commit(call("C4"))
        await board.receive("andon_event", subject="C4")
        assert board.offsets == [3, 4, 6]
        assert "snapshot_begin" not in board.types


async def test_another_epoch_or_an_impossible_offset_is_reported_and_gets_a_snapshot(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), call("C2"))
        foreign: list[Frame] = [{"main": {"epoch": "other", "offset": 1}}, since(front, 9), {}]
        for claim in foreign:
            board = await front.join()
            bodies = [{"id": "a", "subscription_type": "andon"}]
            await board.send("resume", subscriptions=bodies, since=claim)
            resumed = await board.receive("resumed")
            assert resumed["streams"]["main"] == {"recovered": False}
            await board.receive("snapshot_end", id="a")
            assert board.offsets == [1, 2]


async def test_a_replay_leaves_out_what_other_subscriptions_had_already(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send("subscribe", id="one", subscription_type="andon", target_id="L1")
        await board.receive("snapshot_end")
        front.commit(call("C1"), call("C2", line="L2"), call("C3"))
        await board.receive("andon_event", subject="C3")
        bodies = [{"id": "all", "subscription_type": "andon"}]
        await board.send("resume", subscriptions=bodies, since=since(front, 0))
        await board.receive("andon_event", subject="C2")
        front.commit(call("C4"))
        await board.receive("andon_event", subject="C4")
        assert board.live_offsets == [1, 3, 2, 4]


@pytest.mark.parametrize("end", ["unsubscribe", "replace"])
async def test_a_replay_repeats_what_only_a_subscription_that_is_over_had_got(tmp_path: Path, end: str) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        body = {"subscription_type": "andon", "target_id": "L1", "snapshot": False}
        await board.ask("subscribe", "subscription_confirmed", id="one", **body)
        front.commit(call("C1"))
        await board.receive("andon_event", subject="C1")
        if end == "unsubscribe":
            await board.ask("unsubscribe", "unsubscription_confirmed", id="one")
        else:
            await board.ask("subscribe", "subscription_confirmed", id="one", **body)
        bodies = [{"id": "all", "subscription_type": "andon"}]
        await board.ask("resume", "resumed", subscriptions=bodies, since=since(front, 0))
        front.commit(call("C2"))
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [1, 1, 2]


async def test_a_resume_brings_assignments_that_were_missed(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(assignment("J1"), assignment("J2", to="otto"))
        board = await front.join()
        await board.send("resume", subscriptions=[], since=since(front, 0))
        await board.receive("job_assigned", subject="J1")
        assert board.offsets == [1]


async def test_refused_bodies_of_a_resume_are_reported_and_the_others_resume(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1", line="L2"))
        board = await front.join(roles=["operator"], lines=["L2"])
        bodies = [
            {"id": "no", "subscription_type": "andon", "target_id": "L1"},
            {"id": "yes", "subscription_type": "andon", "target_id": "L2"},
        ]
        await board.send("resume", subscriptions=bodies, since=since(front, 0))
        assert (await board.receive("error", id="no"))["code"] == "FORBIDDEN"
        resumed = await board.receive("resumed")
        assert [subscription["id"] for subscription in resumed["subscriptions"]] == ["yes"]
        await board.receive("andon_event")


async def test_a_slow_dashboard_loses_no_alarm_and_receives_the_conflated_counts(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send("subscribe", subscription_type="line", target_id="all", snapshot=False)
        await board.receive("subscription_confirmed")
        await board.receive("position")
        board.stop_reading()
        for number in range(40):
            front.commit(call(f"C{number}"), status(state="running"), status("L2"))
        assert front.core.statistics()["events_behind"] > 100
        board.read_on()
        last = await board.receive("andon_event", subject="C39")
        front.commit(status(state="fault"))
        await board.receive("line_status_update", offset=121)
        alarms = [frame["offset"] for frame in board.frames if frame["type"] == "andon_event"]
        assert alarms == [1 + 3 * number for number in range(40)]
        statuses = [frame["offset"] for frame in board.frames if frame["type"] == "line_status_update"]
        assert len(statuses) < 80
        assert last["offset"] == 118
        frames = await board.receive("conflated")
        assert set(frames["counts"]) == {"line_status_update"}


async def test_a_dashboard_that_does_not_read_delays_no_other_and_is_closed(tmp_path: Path) -> None:
    async with memory_front(tmp_path, stall_seconds=0.3) as front:
        stuck, fine = await front.join(), await front.join(user="otto")
        for board in (stuck, fine):
            await board.send("subscribe", subscription_type="andon", snapshot=False)
            await board.receive("subscription_confirmed")
        stuck.stop_reading()
        front.commit(call("C1"))
        await fine.receive("andon_event", subject="C1")
        code, _ = await stuck.closed()
        assert code == 4008
        assert stuck.live_offsets == []
        front.commit(call("C2"))
        await fine.receive("andon_event", subject="C2")


async def test_a_client_that_asks_and_does_not_read_is_not_read_either(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_frames_per_second=10_000) as front:
        board = await front.join()
        board.stop_reading()
        for _ in range(1_000):
            await board.send("ping")
        unread = 1_001
        while board.socket.unread < unread:  # until the front reads no more, however often it may run
            unread = board.socket.unread
            await let_the_front_run()
        assert unread > 500
        board.read_on()
        await board.until(lambda: board.types.count("pong") == 1_000)


async def test_a_closed_subject_is_in_no_snapshot(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), call("C2"), call("C1", status="resolved", standing=Standing.CLOSED))
        board = await front.join()
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        assert board.offsets == [2]
