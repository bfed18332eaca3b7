"""The current events of a front: read once, and equal to those of the journal after every delivery."""

import asyncio
import gc
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from typing_extensions import override

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.events import EventType, Standing
from bridge.domain.records import CommittedEvent, Position, Snapshot
from bridge.domain.steps import complete
from bridge.front import current_events, snapshot_cache
from bridge.front import journal_reads as front_journal
from bridge.front.current_events import CurrentEvents
from bridge.front.journal_reads import FrontJournal
from bridge.front.snapshot_cache import SnapshotCache
from bridge.journal.sqlite.reader import SqliteReader
from bridge.protocol.event_feed import ReadSnapshot, SnapshotOffsets
from bridge.protocol.session import admit_body
from tests.front.memory_front import MemoryFront, call, memory_front, status
from tests.support.brokers import until
from tests.support.committed_events import event
from tests.support.dashboard import PATIENCE
from tests.support.memory_journal import MemoryJournal
from tests.support.tokens import token
from tests.support.viewers import viewer

LINES: Final = ("L1", "L2", "L3")
EVERYTHING: Final = admit_body({"subscription_type": "line"}, viewer())
SUBSCRIPTIONS: Final = (
    EVERYTHING,
    admit_body({"subscription_type": "andon", "target_id": ["L1", "L3"]}, viewer()),
)
KINDS: Final = (EventType.ANDON_EVENT, EventType.LINE_STATUS_UPDATE, EventType.PRODUCTION_UPDATE)

commits = st.lists(
    st.tuples(st.sampled_from(LINES), st.sampled_from(KINDS), st.sampled_from(Standing)), min_size=1, max_size=6
)
moves = st.lists(
    st.one_of(
        commits,
        st.integers(1, 6),  # events to deliver
        st.just("read on"),  # the read of the journal: its start, the moment of its transaction, its end
        st.sampled_from(SUBSCRIPTIONS),  # a snapshot of it is compared
    ),
    min_size=10,
    max_size=40,
)


def nobody(_ms: float) -> None:
    """Who pays."""


class SlowJournal(MemoryJournal):
    """A journal whose current events are read in three steps."""

    def __init__(self) -> None:
        super().__init__()
        self.may_read, self.was_read, self.may_return = threading.Event(), threading.Event(), threading.Event()
        self.reads = 0

    @override
    def snapshot(self) -> Snapshot:
        self.reads += 1
        assert self.may_read.wait(PATIENCE)
        snapshot = super().snapshot()
        self.was_read.set()
        assert self.may_return.wait(PATIENCE)
        return snapshot


class Following:
    """A front's journal, of which some events are committed and not delivered."""

    def __init__(self) -> None:
        self.journal = SlowJournal()
        self.reader = FrontJournal(self.journal, self.journal.position())
        self._first_read: asyncio.Task[CurrentEvents] | None = None

    def commit(self, events: Sequence[tuple[str, EventType, Standing]]) -> None:
        for line, kind, standing in events:
            committed = event(self.journal.end + 1, kind, line=line)
            self.journal.history.append(replace(committed, standing=standing))

    def deliver(self, count: int) -> None:
        after = self.reader.position.offset
        events = self.journal.history[after : after + count]
        self.reader.advance(events)
        for delivered in events:
            self.reader.feed.advance(delivered)

    async def read_on(self) -> None:
        """Take the next step of the first read."""
        if self._first_read is None:
            self._first_read = asyncio.create_task(self.reader.current_events(), name="first read")
            await until(lambda: self.journal.reads == 1, what="reading")
        elif not self.journal.may_read.is_set():
            self.journal.may_read.set()
            assert await asyncio.to_thread(self.journal.was_read.wait, PATIENCE)
        else:
            self.journal.may_return.set()
            await self._first_read

    @property
    def is_read(self) -> bool:
        return self.journal.may_return.is_set()

    async def compare(self, subscription: Subscription) -> None:
        """Compare what is current, and a snapshot, with the journal as it was at their position."""
        at_least = self.reader.position.offset
        result = await self.reader.read(ReadSnapshot(subscription, at_least), charge=nobody)
        assert isinstance(result, SnapshotOffsets)
        followed = (await self.reader.current_events()).snapshot()
        assert result.position == followed.position
        assert at_least <= followed.position.offset <= self.journal.end
        expected = tuple(self.journal.current_at(followed.position.offset).values())
        assert followed.events == expected
        assert list(result.offsets) == [current.offset for current in expected if subscription.admits(current)]


@given(moves)
def test_what_is_current_follows_the_deliveries_and_is_read_once(
    moves: Sequence[list[tuple[str, EventType, Standing]] | int | str | Subscription],
) -> None:
    async def follow() -> None:
        following = Following()
        for move in moves:
            match move:
                case list():
                    following.commit(move)
                case int():
                    following.deliver(move)
                case Subscription():
                    if following.is_read:
                        await following.compare(move)
                case _:
                    await following.read_on()
        while not following.is_read:
            await following.read_on()
        for subscription in SUBSCRIPTIONS:
            await following.compare(subscription)
        following.deliver(following.journal.end)
        for subscription in SUBSCRIPTIONS:
            await following.compare(subscription)
        assert (await following.reader.current_events()).snapshot() == following.journal.snapshot()
        assert following.journal.reads == 2, "by the front, and by the line above"

    asyncio.run(follow())


def in_memory(front: MemoryFront) -> int:
    """Return how many events of the front's journal are in memory."""
    gc.collect()
    return sum(isinstance(item, CommittedEvent) and front.journal.epoch in item.id for item in gc.get_objects())


async def test_nothing_is_kept_before_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_journal, "PAGES_BYTES", 0)
    async with memory_front(tmp_path) as front:
        front.commit(*(call(f"C{number}") for number in range(10)))
        assert in_memory(front) == 0
        board = await front.join()
        await board.snapshot(subscription_type="line")
        front.commit(*(call(f"C{number}") for number in range(5, 20)))
        assert in_memory(front) == 20


@pytest.mark.parametrize("follows", [False, True])
async def test_one_read_serves_all_snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, follows: bool) -> None:
    reads: list[Position] = []
    read = SqliteReader.snapshot

    def counted(journal: SqliteReader) -> Snapshot:
        snapshot = read(journal)
        reads.append(snapshot.position)
        return snapshot

    monkeypatch.setattr(SqliteReader, "snapshot", counted)
    async with memory_front(tmp_path, follows=follows) as front:
        front.commit(call("C1"), call("C2"), status("L1"))
        await until(lambda: front.core.position == front.journal.position(), what="delivered")
        for changes, current in (
            ([], [1, 2, 3]),
            ([call("C1"), status("L2")], [2, 3, 4, 5]),
            ([call("C2", status="closed", standing=Standing.CLOSED)], [3, 4, 5]),
            ([call("C1", standing=Standing.HISTORY)], [3, 4, 5]),
            ([call("C2"), status("L1")], [4, 5, 8, 9]),
        ):
            front.commit(*changes)
            await until(lambda: front.core.position == front.journal.position(), what="delivered")
            board = await front.join()
            await board.send("subscribe", subscription_type="line")
            await board.receive("snapshot_end")
            assert board.offsets == current
            state = await front.core.read_snapshot(complete(front.core.authenticate(token())), None)
            assert [event.offset for event in state.events] == current
        assert len(reads) == 1
        assert front.core.statistics()["snapshot_builds"] == 5


async def test_a_dashboard_within_a_snapshot_needs_no_disk_for_what_is_replaced_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_front(tmp_path) as front:
        calls = [call(f"C{number}") for number in range(500)]
        front.commit(*calls)
        board = await front.join()
        board.stop_reading(after="snapshot_begin")
        await board.send("subscribe", subscription_type="line")
        await board.receive("snapshot_begin")
        front.commit(*calls)
        read: list[int] = []
        monkeypatch.setattr(front.journal, "event", read.append)
        board.read_on()
        await board.receive("snapshot_end")
        assert board.offsets[:500] == list(range(1, 501))
        assert read == []


def held(current: CurrentEvents, count: int) -> list[int]:
    """Return which of the first offsets are in memory."""
    return [offset for offset in range(1, count + 1) if current.events_at([offset]) is not None]


async def test_what_is_replaced_is_kept_after_a_snapshot_as_far_as_its_bytes_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(current_events, "KEEP_EVENTS", 6)
    current = CurrentEvents(Snapshot(Position("s", "e", 1), (event(1),)), kept_bytes=3 * event(1).memory_bytes)
    for offset in (2, 3):
        current.advance([event(offset)])
    assert held(current, 3) == [3], "no snapshot needs what is replaced"
    await current.matching_offsets(EVERYTHING, None, charge=nobody)
    for offset in range(4, 10):
        current.advance([event(offset)])
    assert held(current, 9) == [6, 7, 8, 9]
    current.advance([event(10)])
    assert held(current, 10) == [10], "the snapshot was long ago"


def test_a_later_snapshot_takes_the_place_of_the_former(monkeypatch: pytest.MonkeyPatch) -> None:
    former, later = (SnapshotOffsets(Position("s", "e", offset), range(offset)) for offset in (100, 200))
    size = snapshot_cache.SNAPSHOT_BYTES + snapshot_cache.FILTER_BYTES + 8 * 200
    monkeypatch.setattr(snapshot_cache, "SNAPSHOTS_BYTES", 2 * size)
    cache = SnapshotCache()
    other = admit_body({"subscription_type": "andon", "target_id": "L1"}, viewer())
    cache.put(other, later)
    for _ in range(3):
        cache.put(EVERYTHING, former)
        cache.put(EVERYTHING, later)
    assert cache.get(EVERYTHING) is later
    assert cache.get(other) is later
