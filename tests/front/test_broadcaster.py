"""Broadcast to many dashboards at exact moments: full buffers, faults, and those who wait to join a cohort."""

from pathlib import Path

import pytest

from bridge.domain.envelope import position_event
from bridge.domain.filter_index import FilterIndex
from bridge.domain.records import Input, JournalEntry
from bridge.domain.reports import APPLIED
from bridge.domain.topics import TopicFilter
from bridge.front import broadcaster
from bridge.ports.journal import Batch
from bridge.protocol import cohort
from tests.front.memory_front import NOON, call, memory_front
from tests.protocol.delivery.moves import finish
from tests.protocol.delivery.small_front import SmallFront, SocketFailure


def test_who_joins_when_a_buffer_is_full_gets_the_event_that_filled_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort, "FLUSH_BYTES", 90)  # three events
    world = SmallFront(short_lived=(), page_events=256)
    lines, calls = world.join(), world.join()
    lines.subscribe("b", "line 1", snapshot=False)
    calls.subscribe("a", "calls", snapshot=False)
    world.commit("state")
    world.deliver(1)
    world.end_window()
    world.commit("state")
    world.commit("pieces")
    world.deliver(2)
    late = world.join()
    late.subscribe("b", "line 1", snapshot=False)  # it waits to join the cohort of `lines`
    world.commit("late downtime")
    late.subscribe("a", "calls", snapshot=True)  # ahead of the feed
    late.unsubscribe("b")
    late.complete_read()
    while late.awaited is not None or late.turn_ended:
        if late.awaited is not None:
            late.complete_read()
        else:
            late.take_turn()
    world.commit("call")
    world.deliver(world.undelivered)
    finish(world)


def test_a_cohort_lives_on_for_one_who_waits_to_join_when_all_members_have_left() -> None:
    world = SmallFront(short_lived=(), page_events=256)
    leaves, stays = world.join(), world.join()
    for board in (leaves, stays):
        board.subscribe("a", "line 1", snapshot=False)
    world.commit("state")
    world.deliver(1)
    stays.subscribe("a", "line 1", snapshot=False)
    leaves.delivery.end()
    stays.pump()
    world.end_window()
    finish(world)
    assert len(list(world.broadcaster.fan_out.cohorts)) == 1


def test_leaving_and_joining_again_moves_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SmallFront(short_lived=(), page_events=256)
    board = world.join()
    board.subscribe("a", "line 1", snapshot=False)
    world.commit("call")
    world.deliver(1)
    added = list[TopicFilter]()
    monkeypatch.setattr(FilterIndex, "add", lambda _self, topic_filter, *_, **_options: added.append(topic_filter))
    for number in range(3):
        board.set_batching(batch=True, batch_ms=number)
    world.commit("call")
    world.deliver(1)
    finish(world)
    assert added == []


def test_equal_subscriptions_of_different_cohorts_are_one_route() -> None:
    world = SmallFront(short_lived=(), page_events=256)
    boards = [world.join() for _ in range(3)]
    fan_out = world.broadcaster.fan_out
    before = len(fan_out)
    for number, board in enumerate(boards):
        board.subscribe("a", "line 1", snapshot=False)
        board.set_batching(batch=True, batch_ms=number)
    boards[0].subscribe("b", "calls", snapshot=False)
    finish(world)
    assert len(list(fan_out.cohorts)) == 3
    assert len(fan_out) == before + 2


def test_a_fault_at_one_dashboard_is_not_that_of_all_others() -> None:
    world = SmallFront(short_lived=(), page_events=256)
    broken, other = world.join(), world.join()
    broken.subscribe("a", "line 1", snapshot=False)
    other.subscribe("a", "line 1", snapshot=False)
    third = world.join()
    third.subscribe("a", "calls", snapshot=False)
    world.commit("call")
    world.deliver(1)
    broken.break_socket()
    world.commit("state")
    world.deliver(1)
    world.end_window()
    world.commit("call")
    world.deliver(1)
    assert broken.is_ended
    assert (broken.ledger.sent.total(), other.ledger.sent.total()) == (1, 3), "only what was written counts"
    finish(world)


def test_a_cohort_that_cannot_be_flushed_ends_its_members_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SmallFront(short_lived=(), page_events=256)
    broken, other = world.join(), world.join()
    broken.subscribe("a", "line 1", snapshot=False)
    broken.set_batching(batch=True, batch_ms=cohort.UNBATCHED_MS)
    other.subscribe("a", "line 1", snapshot=False)

    def array_frames(_objects: list[bytes]) -> bytes:
        raise SocketFailure

    world.commit("state")
    world.deliver(1)  # both wait for the end of the same window
    monkeypatch.setattr(cohort, "array_frames", array_frames)
    world.end_window()
    assert broken.is_ended
    assert (broken.ledger.sent.total(), other.ledger.sent.total()) == (0, 1), "only what was written counts"
    finish(world)


def test_an_alarm_does_not_wait_for_all_flushes_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcaster, "TURN_MEMBERS", 1)
    world = SmallFront(short_lived=(), page_events=256)
    boards = [world.join() for _ in range(2)]
    for board in boards:
        board.subscribe("a", "line 1", snapshot=False)
    boards[1].set_batching(batch=True, batch_ms=cohort.UNBATCHED_MS)  # another cohort, with the same window
    world.commit("state")
    world.deliver(1)
    world.end_window()
    assert [board.delivery.cursor.offset for board in boards] == [1, 0], "the second is still to be flushed"
    world.commit("call")
    world.deliver(1)
    assert [board.delivery.cursor.offset for board in boards] == [2, 2]
    finish(world)


def test_an_assigned_job_reaches_one_who_waits_to_join_at_once() -> None:
    world = SmallFront(short_lived=(), page_events=256)
    boards = [world.join() for _ in range(2)]
    for board in boards:
        board.set_batching(batch=True, batch_ms=1_000)
    boards[0].subscribe("b", "line 1", snapshot=False)
    world.commit("state")
    world.deliver(1)  # a window begins
    boards[1].subscribe("b", "line 1", snapshot=False)
    before = boards[1].frames
    world.commit("my job")
    world.deliver(1)
    assert boards[1].frames > before
    finish(world)


async def test_alarms_of_one_commit_go_out_in_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.ask("subscribe", "subscription_confirmed", mqtt_filter="#", snapshot=False)
        await board.receive("position")
        at, writes, write = front.journal.position(), list[bytes](), board.socket.write

        def counted(frames: bytes) -> None:
            writes.append(frames)
            write(frames)

        monkeypatch.setattr(board.socket, "write", counted)
        entries = [
            JournalEntry(
                input=Input(number=number, topic="report/S1/A1/L1/E1/state", payload=b"{}", received_at=NOON),
                disposition=APPLIED,
                events=(position_event(call(f"C{number}"), stream=at.stream, epoch=at.epoch, offset=number),),
            )
            for number in range(1, 41)
        ]
        front.journal.commit(Batch(entries=entries))
        front.core.on_committed(entries)
        assert len(writes) == 1
        assert board.live_offsets == list(range(1, 41))


async def test_a_fault_at_the_end_of_a_failed_dashboard_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_front(tmp_path) as front:
        boards = [await front.join(user=f"u{number}") for number in range(4)]
        for board in boards:
            await board.ask("subscribe", "subscription_confirmed", mqtt_filter="#", snapshot=False)
            await board.receive("position")

        def fail(*_: object) -> None:
            raise MemoryError

        for broken in boards[:2]:
            monkeypatch.setattr(broken.socket, "write", fail)
            monkeypatch.setattr(broken.socket, "close", fail)
        front.commit(call("C1"))
        for board in boards[2:]:
            await board.receive("andon_event", subject="C1")
        statistics = front.core.statistics()
        assert (statistics["connections"], statistics["users"]) == (2, 2)
