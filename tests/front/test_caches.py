"""Many dashboards that want the same cost one read: the latest events, pages of the journal, snapshots."""

import gc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.domain.events import EventType
from bridge.domain.records import CommittedEvent, Position
from bridge.front import journal_reads as front_journal
from bridge.front import snapshot_cache
from bridge.front.snapshot_cache import SnapshotCache
from bridge.protocol.event_feed import EventCache, EventPage, SnapshotOffsets
from bridge.protocol.request_queue import CHUNK_EVENTS
from bridge.protocol.session import admit_body
from tests.front.memory_front import MemoryFront, call, memory_front, status
from tests.support.committed_events import event
from tests.support.dashboard import Frame
from tests.support.viewers import viewer

EVENT_BYTES = event(1).memory_bytes
SETS: tuple[tuple[Frame, Frame], ...] = (
    ({"subscription_type": "andon", "target_id": "L1"}, {"lines": ["L1", "L2"]}),
    ({"subscription_type": "andon", "target_id": "L1"}, {"lines": ["L1"]}),  # the same, of another bearer
    ({"subscription_type": "line", "target_id": "all"}, {"lines": ["L1"]}),
    ({"subscription_type": "line", "target_id": "L1"}, {"lines": ["L1"]}),  # the same, asked otherwise
    ({"subscription_type": "line", "target_id": "all", "filters": {"priorities": ["high"]}}, {"lines": ["L1"]}),
)


EVERYTHING = admit_body({"subscription_type": "line"}, viewer())


@given(
    start=st.integers(1, 30),
    count=st.integers(1, 40),
    keep=st.integers(0, 40),
    offset=st.integers(0, 80),
    hole=st.integers(0, 50),
)
def test_the_event_cache_has_no_hole_and_is_bounded(start: int, count: int, keep: int, offset: int, hole: int) -> None:
    pages = EventCache(size=4, max_bytes=keep * EVENT_BYTES)
    added = [number for number in range(start, start + count) if number != hole]
    for committed in added:
        pages.add(event(committed))
    page = pages.after(offset)
    if page is None:
        latest = added[-4:]
        assert keep < 8 or offset + 1 not in latest or hole in range(latest[0], latest[-1])
        return
    offsets = [committed.offset for committed in page.events]
    assert offset + 1 in offsets
    assert offsets == list(range(offsets[0], offsets[-1] + 1))
    assert len(offsets) <= min(4, keep)
    assert {(number - 1) // 4 for number in offsets} == {offset // 4}


def test_a_page_begins_behind_the_last_hole() -> None:
    page = EventPage([event(offset) for offset in (2, 5, 7, 8, 9)])
    assert [number for number in range(12) if page.has_next_after(number)] == [6, 7, 8]
    assert not EventPage([]).has_next_after(0)


def test_a_page_grows_and_shows_each_event_once_to_several_subscriptions() -> None:
    page = EventPage([event(1), replace(event(2, EventType.JOB_ASSIGNED), audience=("ann",))])
    assert [committed.offset for committed in page.matching([EVERYTHING, EVERYTHING], after=0)] == [1, 2]
    page.events.append(event(3))
    assert [committed.offset for committed in page.matching([EVERYTHING, EVERYTHING], after=0)] == [1, 2, 3]
    assert [committed.offset for committed in page.matching([], after=0)] == [2], "an assignee needs no subscription"


def test_the_pages_used_last_are_kept() -> None:
    pages = EventCache(size=1, max_bytes=2 * EVENT_BYTES)
    pages.add(event(1))
    pages.put(EventPage([event(2)]))
    assert pages.after(0) is not None
    pages.add(event(3))
    assert [pages.after(offset) is not None for offset in range(3)] == [True, False, True]


async def test_dashboards_that_return_at_once_read_each_page_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_journal, "PAGE_EVENTS", 10)
    monkeypatch.setattr(front_journal, "OLDEST_SECONDS", 3_600)
    async with memory_front(tmp_path) as front:
        front.commit(*(call(f"C{number}") for number in range(95)))
    async with memory_front(tmp_path) as front:
        reads, oldest_reads = _counted(front), list[int]()
        oldest_offset = front.journal.oldest_offset

        def counted_oldest_offset() -> int:
            oldest_reads.append(oldest_offset())
            return oldest_reads[-1]

        monkeypatch.setattr(front.journal, "oldest_offset", counted_oldest_offset)
        for count in (20, 1):
            boards = [await front.join() for _ in range(count)]
            for board in boards:
                since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
                body = {"id": "all", "subscription_type": "andon"}
                await board.send("resume", subscriptions=[body], since=since)
            for board in boards:
                await board.receive("andon_event", subject="C94")
                assert board.live_offsets == list(range(1, 96))
        assert sorted(reads) == [10 * number for number in range(10)]
        assert oldest_reads == [1]


async def test_a_slightly_late_dashboard_is_served_from_the_cache(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        reads = _counted(front)
        board = await front.join()
        await board.send("subscribe", subscription_type="andon", snapshot=False)
        await board.receive("subscription_confirmed")
        board.stop_reading()
        for number in range(95):
            front.commit(call(f"C{number}"))
        assert front.core.statistics()["catching_up"] == 1
        board.read_on()
        await board.receive("andon_event", subject="C94")
        assert board.live_offsets == list(range(1, 96))
        assert reads == []


async def test_each_distinct_filter_set_costs_one_snapshot_build(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), call("C2", line="L2"), status("L1"), status("L2"))
        boards = []
        for subscription, claims in SETS * 4:
            board = await front.join(roles=["operator"], **claims)
            boards.append(board)
            await board.send("subscribe", **subscription)
        ends = [await board.receive("snapshot_end") for board in boards]
        assert front.core.statistics()["snapshot_builds"] == 3
        assert [end["count"] for end in ends] == [1, 1, 2, 2, 1] * 4
        paid = [board.socket.charged_ms > 0 for board in boards]
        assert sum(paid) == 3, "who asks first pays for the build"
        front.commit(call("C3"))
        board = await front.join()
        await board.send("subscribe", subscription_type="andon", target_id="L1")
        assert (await board.receive("snapshot_end"))["count"] == 2, "another position, another build"


def test_the_snapshots_used_last_are_kept_as_far_as_their_bytes_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (
        admit_body({"subscription_type": "andon", "target_id": targets}, viewer())
        for targets in ("L1", ["L1", "L2"], ["L1", "L2", "L3"])
    )
    snapshots = {
        subscription: SnapshotOffsets(Position("main", "e", 0), range(100 * number))
        for number, subscription in enumerate((one, two, three), start=1)
    }
    sizes = [snapshot_cache.SNAPSHOT_BYTES + number * (8 * 100 + snapshot_cache.FILTER_BYTES) for number in (1, 2, 3)]

    def cached(max_bytes: int) -> list[bool]:
        monkeypatch.setattr(snapshot_cache, "SNAPSHOTS_BYTES", max_bytes)
        cache = SnapshotCache()
        for subscription, snapshot in snapshots.items():
            assert cache.get(subscription) is None
            cache.put(subscription, snapshot)
            cache.get(one)
        return [cache.get(subscription) is snapshot for subscription, snapshot in snapshots.items()]

    assert cached(sum(sizes)) == [True, True, True]
    assert cached(sum(sizes) - 1) == [True, False, True], "the second was not used since the first"
    assert cached(sizes[2]) == [False, False, True]
    assert cached(sizes[2] - 1) == [False, False, False]


async def test_a_snapshot_that_is_not_cached_is_sent_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_cache, "SNAPSHOTS_BYTES", 0)
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), status("L1"))
        for user in ("eva", "otto"):
            board = await front.join(user=user)
            await board.send("subscribe", subscription_type="line")
            assert (await board.receive("snapshot_end"))["count"] == 2
        assert front.core.statistics()["snapshot_builds"] == 2


def _counted(front: MemoryFront) -> list[int]:
    """The offsets after which events are read from disk, from now on."""
    reads: list[int] = []
    read: Any = front.journal.events_after

    def counted(offset: int, *, limit: int) -> Any:
        reads.append(offset)
        return read(offset, limit=limit)

    front.journal.events_after = counted  # type: ignore[method-assign]
    return reads


@pytest.mark.parametrize("batch", [False, True])
async def test_a_dashboard_stuck_in_a_snapshot_holds_few_events_and_receives_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, batch: bool
) -> None:
    monkeypatch.setattr(front_journal, "PAGES_BYTES", 0)
    async with memory_front(tmp_path) as front:
        calls = [call(f"C{number}") for number in range(500)]
        front.commit(*calls)
        board = await front.join()
        await board.send("options", batch=batch, batch_ms=0)
        await board.receive("options")
        board.stop_reading(after="snapshot_begin")
        await board.send("subscribe", subscription_type="line")
        await board.receive("snapshot_begin")
        front.commit(*calls)
        other = await front.join(user="otto")
        await other.send("subscribe", subscription_type="line")
        await other.receive("snapshot_end")
        assert front.core.position.offset == 1_000
        gc.collect()
        ids = {f"{front.core.position.stream}:{front.core.position.epoch}:{offset}" for offset in range(1, 501)}
        held_ids = {item.id for item in gc.get_objects() if isinstance(item, CommittedEvent)}
        assert len(held_ids & ids) <= 2 * CHUNK_EVENTS
        board.read_on()
        await board.receive("snapshot_end")
        begin = next(number for number, frame in enumerate(board.frames) if frame["type"] == "snapshot_begin")
        assert [frame["offset"] for frame in board.frames[begin + 1 : begin + 501]] == list(range(1, 501))
