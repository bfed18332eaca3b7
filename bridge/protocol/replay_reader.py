"""Reader of the events after a dashboard's cursor, in pieces that fit into one write."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from bridge.domain.records import CommittedEvent
from bridge.protocol.delivery_outputs import ReadPage
from bridge.protocol.event_cache import EventPage
from bridge.protocol.event_feed import EventFeed
from bridge.protocol.subscription_table import SubscriptionTable

WRITE_EVENTS: Final = 256  # of one write: the most that an expiry, an answer or an alarm waits for
WRITE_BYTES: Final = 16_384  # of one write
READ_AHEAD_BYTES: Final = 65_536  # of memory for events that are read and not yet written: of the 256 KiB


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """Events to write, and those that later ones of their state keys replace."""

    events: list[CommittedEvent]
    conflated: list[CommittedEvent]


class ReplayReader:
    """Reads one page at a time, and keeps of it what may be selected. What is sent is decided when it is sent."""

    __slots__ = ("_covered", "_feed", "_table", "_waiting", "reached")

    def __init__(self, feed: EventFeed, table: SubscriptionTable) -> None:
        self.reached = 0  # the offset up to which the last part goes
        self._feed = feed
        self._table = table
        self._waiting: deque[CommittedEvent] = deque()
        self._covered = 0  # nothing up to here must be read, beside what waits

    def restart(self) -> None:
        """Forget what is read: the subscriptions or the cursor have changed."""
        self._waiting.clear()
        self._covered = 0

    def take_page(self, page: EventPage, *, after: int) -> None:
        """Keep the events of a page after this offset, up to `READ_AHEAD_BYTES`."""
        size = 0
        self._waiting.clear()
        self._covered = page.last
        for event in page.matching(self._table.granted(), after=after):
            self._waiting.append(event)
            size += event.memory_bytes
            if size > READ_AHEAD_BYTES:
                self._covered = event.offset
                return

    def next(self, cursor: int, *, up_to: int) -> ReplayPart | ReadPage:
        """Return the part that follows the cursor, none beyond `up_to`, or the read that it takes."""
        if self._covered <= cursor:
            page = self._feed.page_after(cursor)
            if page is None:
                return ReadPage(cursor)
            self.take_page(page, after=cursor)
        part = ReplayPart([], [])
        size = 0
        while self._waiting and (event := self._waiting[0]).offset <= up_to:
            if event.offset > cursor and self._table.selects(event):
                if self._feed.is_superseded(event):
                    part.conflated.append(event)
                else:
                    size += len(event.body)
                    if part.events and (size > WRITE_BYTES or len(part.events) == WRITE_EVENTS):
                        self.reached = event.offset - 1
                        return part
                    part.events.append(event)
            self._waiting.popleft()
        self.reached = min(self._covered, up_to)
        return part
