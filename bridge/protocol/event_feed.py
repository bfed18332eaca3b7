"""Committed events that all dashboards of a front read: the latest position, pages in memory, and reads of the rest."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.event_topic import StateKey
from bridge.domain.records import CommittedEvent, Position, merge_by_offset
from bridge.protocol.client_frames import ResumePosition
from bridge.protocol.event_selectors import ActiveSubscription

MAX_CACHED_MATCHES: Final = 1_000  # of one page, some 250 bytes each: dashboards may all want something else

_offset_of: Final = attrgetter("offset")


class EventPage:
    """Consecutive events. A page grows at its end; the matches of equal subscriptions are computed once."""

    __slots__ = ("_cached_matches", "events")

    def __init__(self, events: Sequence[CommittedEvent]) -> None:
        """Start the page after the last gap: below its oldest offset the journal may still hold single events."""
        first = max(len(events) - 1, 0)
        while first > 0 and events[first - 1].offset + 1 == events[first].offset:
            first -= 1
        self.events = list(events[first:])
        # the number of events examined, and those that match
        self._cached_matches: dict[Hashable, tuple[int, list[CommittedEvent]]] = {}

    @property
    def last(self) -> int:
        return self.events[-1].offset

    def has_next_after(self, offset: int) -> bool:
        """Return whether the page holds the event that follows this offset."""
        return bool(self.events) and self.events[0].offset <= offset + 1 <= self.last

    def later(self, after: int) -> Sequence[CommittedEvent]:
        """Return the events after an offset."""
        return self.events[bisect_right(self.events, after, key=_offset_of) :]

    def matching(self, subscriptions: Iterable[Subscription], *, after: int) -> Iterable[CommittedEvent]:
        """Return the later events that any of these subscriptions or an assignee may select; ascending, each once."""
        matches = [self._matching_one(subscription) for subscription in subscriptions]
        if assignments := self._matching_one(None):
            matches.append(assignments)
        later = [events[bisect_right(events, after, key=_offset_of) :] for events in matches]
        return later[0] if len(later) == 1 else _merge_distinct(later)

    def _matching_one(self, subscription: Subscription | None) -> list[CommittedEvent]:
        """Return the events that a subscription selects; without one, those that have assignees."""
        cache_key = None if subscription is None else subscription.cache_key
        examined, matches = self._cached_matches.get(cache_key, (0, []))
        if examined < len(self.events):
            for event in self.events[examined:]:
                is_match = bool(event.assignees) if subscription is None else subscription.admits(event)
                if is_match:
                    matches.append(event)
            if len(self._cached_matches) >= MAX_CACHED_MATCHES:
                self._cached_matches.clear()
            self._cached_matches[cache_key] = (len(self.events), matches)
        return matches


class EventCache:
    """LRU cache of pages, up to `max_bytes`: a thousand dashboards that are behind share each read from disk.

    Page n holds the offsets from n * `size` + 1 on, `size` of them at most.
    """

    def __init__(self, *, size: int, max_bytes: int) -> None:
        self._pages: OrderedDict[int, EventPage] = OrderedDict()  # the most recently used one at the end
        self._size = size
        self._bytes = 0
        self._max_bytes = max_bytes

    def after(self, offset: int) -> EventPage | None:
        """Return the page with the event that follows this offset, None if it is not cached."""
        number = offset // self._size
        page = self._pages.get(number)
        if page is None or not page.has_next_after(offset):
            return None
        self._pages.move_to_end(number)
        return page

    def page_start(self, offset: int) -> int:
        """Return the offset after which to read the page that `after` looks up."""
        return offset // self._size * self._size

    def put(self, page: EventPage) -> None:
        """Cache a page read from the journal."""
        if page.events:
            self._put((page.last - 1) // self._size, page)

    def add(self, event: CommittedEvent) -> None:
        """Cache an event as it is committed."""
        number = (event.offset - 1) // self._size
        page = self._pages.get(number)
        if page is not None and page.last + 1 == event.offset:
            page.events.append(event)
            self._pages.move_to_end(number)
            self._grow(_total_bytes(event))
        elif page is None or page.last < event.offset:
            self._put(number, EventPage([event]))

    def _put(self, number: int, page: EventPage) -> None:
        former = self._pages.pop(number, None)
        self._pages[number] = page
        self._grow(_total_bytes(*page.events) - (_total_bytes(*former.events) if former is not None else 0))

    def _grow(self, added: int) -> None:
        self._bytes += added
        while self._bytes > self._max_bytes:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= _total_bytes(*oldest.events)


class EventFeed:
    """One stream up to `position`, which is that of the last event delivered.

    What was committed lately, or read from the journal by any dashboard, is in memory; the rest must be read.
    """

    def __init__(self, position: Position, *, page_events: int, page_bytes: int) -> None:
        self.position = position
        self.pages = EventCache(size=page_events, max_bytes=page_bytes)
        self._latest_offsets = dict[StateKey, int]()  # of conflated types; as many as the plant has state keys

    @property
    def offset(self) -> int:
        return self.position.offset

    def advance(self, event: CommittedEvent) -> None:
        """Take the event that was committed next."""
        here = self.position
        self.position = Position(here.stream, here.epoch, event.offset)
        self.pages.add(event)
        if not event.is_lossless:
            self._latest_offsets[event.topic.state_key] = event.offset

    def record_current(self, events: Iterable[CommittedEvent]) -> None:
        """Take the current events of the journal, which may be ahead of `position`."""
        latest = self._latest_offsets
        for event in events:
            if not event.is_lossless:
                latest[event.topic.state_key] = max(latest.get(event.topic.state_key, 0), event.offset)

    def is_superseded(self, event: CommittedEvent) -> bool:
        """Return whether a later event of its state key is committed: who is behind does not need this one."""
        return not event.is_lossless and self._latest_offsets.get(event.topic.state_key, 0) > event.offset

    def page_after(self, offset: int) -> EventPage | None:
        """Return the page with the event that follows this offset, None if it is not in memory."""
        return self.pages.after(offset)


@dataclass(frozen=True, slots=True)
class SnapshotOffsets:
    """Offsets of the events in one snapshot, oldest first.

    Offsets, because a stalled dashboard would keep events in memory: a plant changes all its states within seconds, and
    each dashboard may be stalled in a different snapshot.
    """

    position: Position
    offsets: Sequence[int]


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Read the page with the event after this offset: an `EventPage`, None if the journal does not hold it."""

    after: int


@dataclass(frozen=True, slots=True)
class ReadSnapshot:
    """Read the current events, at this offset or later, that match: `SnapshotOffsets`."""

    subscription: Subscription | None
    at_least: int


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """Read these events: all of them, or fewer where retention has deleted some."""

    offsets: Sequence[int]


@dataclass(frozen=True, slots=True)
class CheckResume:
    """Ask whether the journal holds all after these positions: the offset to replay from, None if it does not.

    It is the request of a client, too: `subscriptions` are resumed where they are still in force by its turn.
    """

    since: Mapping[str, ResumePosition]
    subscriptions: tuple[ActiveSubscription, ...]
    admitted: tuple[Subscription, ...]  # these, as the answer confirms them


Read = ReadPage | ReadSnapshot | ReadEvents | CheckResume
ReadResult = EventPage | SnapshotOffsets | Sequence[CommittedEvent] | int | None


def _merge_distinct(sequences: Iterable[Sequence[CommittedEvent]]) -> Iterable[CommittedEvent]:
    last = 0
    for event in merge_by_offset(*sequences):
        if event.offset > last:
            last = event.offset
            yield event


def _total_bytes(*events: CommittedEvent) -> int:
    return sum(event.memory_bytes for event in events)
