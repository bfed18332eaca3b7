"""Journal reads of the front: off the event loop, bounded, and shared by equal concurrent requests."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommandRecord, CommittedEvent, Position
from bridge.front.current_events import CurrentEvents
from bridge.front.snapshot_cache import SnapshotCache
from bridge.ports.journal import JournalError, ReadableJournal
from bridge.protocol.client_frames import ResumePosition
from bridge.protocol.event_feed import (
    CheckResume,
    EventFeed,
    EventPage,
    Read,
    ReadEvents,
    ReadPage,
    ReadResult,
    ReadSnapshot,
    SnapshotOffsets,
)

PAGES_BYTES: Final = 16 * 1024 * 1024  # some 10,000 events: a dashboard behind by less, or with others, needs no disk
PAGE_EVENTS: Final = 256
HISTORY_READS: Final = 2  # at once: the threads are few, and commands need them too
OLDEST_SECONDS: Final = 1.0  # for which the oldest offset counts as it was read: thousands who resume share a read
OFFSET_WAIT_SECONDS: Final = 5.0  # bounds a resume's wait for a front that cannot read its journal

T = TypeVar("T")


class JournalDetached(JournalError):
    """The front has no journal, or no longer this one."""

    def __init__(self) -> None:
        super().__init__("this front has no journal at the moment")


class FrontJournal:
    """Shared access to one journal; `feed` holds what of it is in memory, up to the last event delivered.

    The current events are read once; from then on `advance` keeps them up to date. One page is read at a time: catching
    up never takes the threads that others need.
    `journal` None: every read raises JournalDetached.
    """

    def __init__(self, journal: ReadableJournal | None, position: Position) -> None:
        self._journal = journal
        self.feed = EventFeed(position, page_events=PAGE_EVENTS, page_bytes=PAGES_BYTES)
        self.snapshot_builds = 0  # snapshots built; equal requests at the same position share one
        self._current: CurrentEvents | None = None
        self._current_lock = asyncio.Lock()
        self._unapplied: list[CommittedEvent] | None = None  # delivered while the current events are read
        self._snapshots = SnapshotCache()
        self._build_lock = asyncio.Lock()
        self._page_lock = asyncio.Lock()
        self.history_slots = asyncio.Semaphore(HISTORY_READS)
        self._oldest_read: asyncio.Task[int] | None = None
        self._oldest = 0
        self._oldest_until = -1.0  # loop time: `_oldest` counts until then
        self._offset_waiters = dict[asyncio.Future[None], int]()  # waiter -> its offset; one per connection

    @property
    def position(self) -> Position:
        """Return the position of the last event delivered by the front."""
        return self.feed.position

    def advance(self, events: Sequence[CommittedEvent]) -> None:
        """Apply the events that are delivered next to what is current, if anybody has asked for that."""
        if self._current is not None:
            self._current.advance(events)
        elif self._unapplied is not None:
            self._unapplied += events

    def notify_waiters(self) -> None:
        """Let those go on who wait for an offset that the feed has reached."""
        here = self.feed.offset
        for waiter in [waiter for waiter, offset in self._offset_waiters.items() if offset <= here]:
            del self._offset_waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)

    def read_at_once(self, read: Read) -> ReadResult:
        """Return what is in memory of a read; None if the journal must be read."""
        match read:
            case ReadPage(after):
                return self.feed.page_after(after)
            case ReadEvents(offsets):
                return None if self._current is None else self._current.events_at(offsets)
            case ReadSnapshot(subscription, at_least):
                return None if subscription is None else self._cached_snapshot(subscription, at_least)
            case CheckResume(since):
                is_known = asyncio.get_running_loop().time() < self._oldest_until
                return self._replay_start(since, oldest=self._oldest) if is_known else None

    async def read(self, read: Read, *, charge: Callable[[float], None]) -> ReadResult:
        """Perform a read of a delivery; raise JournalError. `charge` takes the ms of the event loop that it costs."""
        match read:
            case ReadPage(after):
                return await self.page_after(after)
            case ReadEvents(offsets):
                return await self.read_events(offsets)
            case ReadSnapshot(subscription, at_least):
                return await self._snapshot_offsets(await self.current_events(), subscription, at_least, charge)
            case CheckResume(since):
                return await self.check_resume(since)

    async def check_resume(self, since: Mapping[str, ResumePosition]) -> int | None:
        """Return the offset to replay from, None if the journal does not hold all that came after it."""
        claim = since.get(self.position.stream)
        if claim is None:
            return None
        await self.wait_for_offset(epoch=claim.epoch, offset=claim.offset)
        return self._replay_start(since, oldest=await self._shared_oldest_offset())

    def _replay_start(self, since: Mapping[str, ResumePosition], *, oldest: int) -> int | None:
        here = self.position
        claim = since.get(here.stream)
        if claim is None or claim.epoch != here.epoch or not oldest - 1 <= claim.offset <= here.offset:
            return None
        return claim.offset

    async def wait_for_offset(self, *, epoch: str, offset: int) -> None:
        """Wait for an offset that the journal holds and this front has not reached: another front may be ahead."""
        if epoch != self.position.epoch or offset <= self.position.offset:
            return
        latest = await asyncio.to_thread(self._require_journal().position)
        if latest.epoch != epoch or not self.position.offset < offset <= latest.offset:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._offset_waiters[waiter] = offset
        try:
            async with asyncio.timeout(OFFSET_WAIT_SECONDS):
                await waiter
        except TimeoutError:
            return  # the client then gets `recovered: false`
        finally:
            self._offset_waiters.pop(waiter, None)

    async def current_events(self) -> CurrentEvents:
        """Return the current events, at the feed's position or later; the first callers share one read."""
        async with self._current_lock:
            if self._current is None:
                self._unapplied = []
                try:
                    current = await asyncio.to_thread(self._read_current)
                    current.advance(self._unapplied)
                finally:
                    self._unapplied = None
                self.feed.record_current(current.snapshot().events)
                self._current = current
            return self._current

    async def _snapshot_offsets(
        self,
        current: CurrentEvents,
        subscription: Subscription | None,
        at_least: int,
        charge: Callable[[float], None],
    ) -> SnapshotOffsets:
        """Return the offsets of the current events that match; equal subscriptions share what is cached."""
        if subscription is None:
            return SnapshotOffsets(current.position, array("q"))
        async with self._build_lock:
            # After waiting for the lock, what was built meanwhile is mostly new enough.
            snapshot = self._cached_snapshot(subscription, at_least)
            if snapshot is None:
                self.snapshot_builds += 1
                snapshot = await current.matching_offsets(
                    subscription, self._snapshots.get(subscription), charge=charge
                )
                self._snapshots.put(subscription, snapshot)
            return snapshot

    def _cached_snapshot(self, subscription: Subscription, at_least: int) -> SnapshotOffsets | None:
        snapshot = self._snapshots.get(subscription)
        return None if snapshot is None or snapshot.position.offset < at_least else snapshot

    async def read_events(self, offsets: Sequence[int]) -> Sequence[CommittedEvent]:
        """Read these events, current or not; those that retention has deleted are missing from the result."""
        async with self._page_lock:
            events = await asyncio.to_thread(
                self._read_in_epoch, lambda journal: [journal.event(offset) for offset in offsets]
            )
            return [event for event in events if event is not None]

    async def page_after(self, offset: int) -> EventPage | None:
        """Return the page with the event that follows this offset; None if the journal does not hold it."""
        if self._current is None:
            await self.current_events()  # the feed then knows which events are superseded
        async with self._page_lock:
            pages = self.feed.pages
            page = pages.after(offset)
            if page is None:
                page = EventPage(await self.events_after(pages.page_start(offset), limit=PAGE_EVENTS))
                pages.put(page)
            if page.has_next_after(offset):
                return page
            self._oldest_until = -1.0  # retention has removed it since
            return None

    async def events_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        return await asyncio.to_thread(self._read_in_epoch, lambda journal: journal.events_after(offset, limit=limit))

    async def oldest_offset(self) -> int:
        return await asyncio.to_thread(self._require_journal().oldest_offset)

    async def _shared_oldest_offset(self) -> int:
        """Return the oldest offset, for all who ask meanwhile."""
        if self._oldest_read is None or self._oldest_read.done():
            self._oldest_read = asyncio.create_task(self._read_oldest_offset(), name="front oldest offset")
        return await asyncio.shield(self._oldest_read)

    async def _read_oldest_offset(self) -> int:
        self._oldest = await self.oldest_offset()
        self._oldest_until = asyncio.get_running_loop().time() + OLDEST_SECONDS
        return self._oldest

    async def command(self, user: str, command_id: str) -> CommandRecord | None:
        return await asyncio.to_thread(self._require_journal().command, user, command_id)

    async def readable_event(self, event_id: str, viewer: Callable[[], Awaitable[Viewer]]) -> CommittedEvent | None:
        """Return the event with this id; None if this journal does not hold it, or the viewer may not read it then."""
        digits = event_id.rpartition(":")[2]
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):  # SQLite's integers have 63 bits
            return None
        event = await asyncio.to_thread(self._require_journal().event, int(digits))
        is_readable = event is not None and event.id == event_id and (await viewer()).may_read(event.topic)
        return event if is_readable else None

    def _require_journal(self) -> ReadableJournal:
        if self._journal is None:
            raise JournalDetached
        return self._journal

    def _read_in_epoch(self, read: Callable[[ReadableJournal], T]) -> T:
        """Return what is read; raise JournalDetached if a new epoch has begun: the connections are about to be closed.

        An epoch never comes back: that it is the same afterwards shows that the read was in it. The ids of the events
        do not show it, for a journal also holds events of earlier epochs.
        """
        journal = self._require_journal()
        result = read(journal)
        if journal.position().epoch != self.position.epoch:
            raise JournalDetached
        return result

    def _read_current(self) -> CurrentEvents:
        snapshot = self._read_in_epoch(lambda journal: journal.snapshot())
        return CurrentEvents(snapshot, kept_bytes=PAGES_BYTES)
