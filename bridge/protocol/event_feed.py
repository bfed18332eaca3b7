"""The committed events that all dashboards of a front read: the latest position, and pages of events before it."""

from collections.abc import Iterable

from bridge.domain.event_topic import StateKey
from bridge.domain.records import CommittedEvent, Position
from bridge.protocol.event_cache import EventCache, EventPage


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
