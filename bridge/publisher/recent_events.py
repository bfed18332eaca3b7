"""Events committed a short time ago, which the publisher takes from memory instead of from the journal."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from bridge.domain.records import CommittedEvent, JournalEntry


class RecentEvents:
    """The latest events in order, at most `most`: an outage of the broker must not fill the memory."""

    def __init__(self, *, most: int) -> None:
        self._events: deque[CommittedEvent] = deque(maxlen=most)

    def add(self, entries: Iterable[JournalEntry]) -> None:
        """Add the events of entries that were just committed."""
        for entry in entries:
            self._events.extend(entry.events)

    def take_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        """Forget the events up to `offset`; return the next ones, at most `limit`, none if the very next is not held.

        The events returned are still held, so that they can be taken again.
        """
        while self._events and self._events[0].offset <= offset:
            self._events.popleft()
        if not self._events or self._events[0].offset != offset + 1:
            return ()
        return tuple(islice(self._events, limit))
