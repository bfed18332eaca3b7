"""A small world around the delivery, without asyncio and sockets: a journal, its feed, and the front's dashboards.

Each method is one thing that happens; all that it leads to at once has happened when it returns, as in the front.
"""

from collections import deque
from collections.abc import Callable, Sequence

from bridge.domain.records import CommittedEvent, Position
from bridge.front.broadcaster import Broadcaster
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
from bridge.protocol.ledger import Ledger
from tests.protocol.delivery.oracle import current
from tests.protocol.delivery.samples import event

STREAM, EPOCH = "main", "e"

EXPIRY = 1  # of a token that expires at all; the wall clock stands at 0, and at `EXPIRY` when that has passed


class WallClock:
    """The front's clock, which a move sets."""

    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time

    def wall_now(self) -> int:
        return self.time


class World:
    """One front. `kinds` is the journal, which may be ahead of the feed. `cold`: no page stays in memory."""

    def __init__(self, *, page_events: int = 3, cold: bool = False) -> None:
        self.kinds: list[str] = []
        self.feed = EventFeed(Position(STREAM, EPOCH, 0), page_events=page_events, page_bytes=0 if cold else 1_000_000)
        self.windows: deque[tuple[Callable[[int], None], int]] = deque()  # that run
        self.clock = WallClock()
        self.broadcaster = Broadcaster(self.feed, self.clock, Ledger(), call_later=self._call_later)
        self.now = 0
        self._page_events = page_events
        self._current: tuple[int, frozenset[int]] | None = None  # position, and the offsets that are current there

    def _call_later(self, _seconds: float, function: Callable[[int], None], argument: int) -> None:
        self.windows.append((function, argument))

    @property
    def wall_now(self) -> int:
        return self.clock.time

    def expire(self) -> None:
        """Let the tokens expire that expire at all."""
        self.clock.time = EXPIRY

    # What happens in the plant.

    def commit(self, kind: str) -> None:
        self.kinds.append(kind)

    @property
    def undelivered(self) -> int:
        return len(self.kinds) - self.feed.offset

    def deliver(self, count: int) -> None:
        """Deliver the next events, as one batch."""
        start = self.feed.offset
        self.broadcaster.deliver(self._events(range(start + 1, start + count + 1)))

    def end_window(self) -> None:
        function, argument = self.windows.popleft()
        function(argument)

    # What the front's journal answers.

    def read_at_once(self, read: Read) -> ReadResult:
        match read:
            case ReadPage(after):
                return self.feed.page_after(after)
            case ReadEvents(offsets):
                known = self._current[1] if self._current is not None else frozenset()
                return self._events(offsets) if known.issuperset(offsets) else None
            case _:
                return None

    def read(self, read: Read) -> ReadResult:
        match read:
            case ReadPage(after):
                return self._page_after(after)
            case ReadEvents(offsets):
                return self._events(offsets)
            case ReadSnapshot(subscription, at_least):
                at, current_offsets = self._current_events(at_least)
                matching = [
                    offset
                    for offset in sorted(current_offsets)
                    if subscription is not None and subscription.admits(self._event(offset))
                ]
                return SnapshotOffsets(Position(STREAM, EPOCH, at), matching)
            case CheckResume(since):
                claim = since[STREAM]
                return claim.offset if claim.epoch == EPOCH and claim.offset <= self.feed.offset else None

    def _current_events(self, at_least: int) -> tuple[int, frozenset[int]]:
        if self._current is None or self._current[0] < at_least:
            self._current = (len(self.kinds), frozenset(current(self.kinds)))
            self.feed.record_current(self._events(self._current[1]))
        return self._current

    def _page_after(self, offset: int) -> EventPage | None:
        if self._current is None:
            self._current_events(0)
        page = self.feed.page_after(offset)
        if page is None:
            start = self.feed.pages.page_start(offset)
            last = min(start + self._page_events, len(self.kinds))
            page = EventPage(self._events(range(start + 1, last + 1)))
            self.feed.pages.put(page)
        return page if page.has_next_after(offset) else None

    def _events(self, offsets: Sequence[int] | frozenset[int]) -> list[CommittedEvent]:
        return [self._event(offset) for offset in offsets]

    def _event(self, offset: int) -> CommittedEvent:
        return event(offset, self.kinds[offset - 1])
