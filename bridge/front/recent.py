"""Committed events that many dashboards read at once: the latest, and pages of the journal. Bounded in bytes."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bridge.core.dashboard.outbox import EVENT_BESIDE
from bridge.core.records import Committed
from bridge.core.topics import TopicName

MAX_TOPICS: Final = 20_000  # parsed topics remembered; subjects come and go, so a plant's topics have no end


@lru_cache(MAX_TOPICS)
def name_of(topic: str) -> TopicName:
    """The topic of an event, parsed: once for all that ask about it."""
    return TopicName.parse(topic)


class RecentEvents:
    """The latest events without a hole, up to `max_bytes`: stops a read from disk for whoever is a little behind."""

    def __init__(self, max_bytes: int) -> None:
        self._events: dict[int, Committed] = {}  # by offset, ascending
        self._first = 0
        self._next = 0
        self._bytes = 0
        self._max_bytes = max_bytes

    def add(self, event: Committed) -> None:
        if event.offset != self._next:
            self._events.clear()
            self._first, self._bytes = event.offset, 0
        self._events[event.offset] = event
        self._next = event.offset + 1
        self._bytes += _size(event)
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._events.pop(self._first))
            self._first += 1

    def after(self, offset: int, *, limit: int) -> Sequence[Committed]:
        """The events that follow this offset, at most `limit`; empty where the next one is not held."""
        if not self._first <= offset + 1 < self._next:
            return ()
        return [self._events[each] for each in range(offset + 1, min(offset + 1 + limit, self._next))]


@dataclass(frozen=True, slots=True)
class Page:
    """Events without a hole, from offset `number` * PAGE_EVENTS + 1 on or later; the last page grows."""

    events: tuple[Committed, ...]

    @classmethod
    def of(cls, events: Sequence[Committed]) -> "Page":
        """Below the journal's oldest offset single events may still be held: the page begins behind the last hole."""
        first = max(len(events) - 1, 0)
        while first > 0 and events[first - 1].offset + 1 == events[first].offset:
            first -= 1
        return cls(tuple(events[first:]))

    def after(self, offset: int) -> Sequence[Committed]:
        """Those that follow this offset; empty where the next one is not on the page."""
        if not self.events or not self.events[0].offset <= offset + 1 <= self.events[-1].offset:
            return ()
        return self.events[offset + 1 - self.events[0].offset :]


class Pages:
    """The pages read last, up to `max_bytes`: stops a read for each of a thousand dashboards that come back."""

    def __init__(self, max_bytes: int) -> None:
        self._pages: OrderedDict[int, Page] = OrderedDict()  # the one used last at the end
        self._bytes = 0
        self._max_bytes = max_bytes

    def get(self, number: int) -> Page | None:
        page = self._pages.get(number)
        if page is not None:
            self._pages.move_to_end(number)
        return page

    def put(self, number: int, page: Page) -> None:
        former = self._pages.pop(number, None)
        if former is not None:
            self._bytes -= _size(*former.events)
        self._pages[number] = page
        self._bytes += _size(*page.events)
        while self._bytes > self._max_bytes and len(self._pages) > 1:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= _size(*oldest.events)


def _size(*events: Committed) -> int:
    return sum(EVENT_BESIDE + len(each.body) for each in events)
