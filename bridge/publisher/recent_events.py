"""Events committed a short time ago, which the publisher takes from memory instead of from the journal."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from bridge.domain.records import CommittedEvent, JournalEntry


class RecentEvents:
    """The latest events in order, at most `most`: an outage of the broker must not fill the memory."""

    def __init__(self, *, most: int) -> None:
        self._events: deque[CommittedEvent] = deque(maxlen=most)
        self._last_offset: int | None = None  # of all that were added

    def add(self, entries: Iterable[JournalEntry]) -> None:
        """Add the events of entries that were just committed."""
        for entry in entries:
            if entry.events:
                self._events.extend(entry.events)
                self._last_offset = entry.events[-1].offset

    def take_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent] | None:
        """Forget the events up to `offset`; return the next ones, at most `limit`, or None if they are not held.

        The events returned are still held, so that they can be taken again.
        """
        while self._events and self._events[0].offset <= offset:
            self._events.popleft()
        if self._last_offset == offset:
            return ()
        if not self._events or self._events[0].offset != offset + 1:
            return None
        return tuple(islice(self._events, limit))
