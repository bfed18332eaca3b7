"""When a dashboard is told how far it has got, and what was conflated since: PROTOCOL, «Being told»."""

from collections import Counter
from typing import Final

from bridge.domain.events import EventType, Millis
from bridge.domain.records import Position
from bridge.protocol.outbox import Tally
from bridge.protocol.server_frames import Conflated, PositionReached, ServerFrame, stream_positions

MIN_INTERVAL_MS: Final = 1_000  # after a flush at most once a second,
MAX_INTERVAL_MS: Final = 5_000  # and at least every 5 s


class PositionSchedule:
    """`owed`: something was delivered since the last position. `now` is ms from any start."""

    __slots__ = ("_at", "_sent_conflated", "has_news")

    def __init__(self) -> None:
        self.has_news = False
        self._at: Millis | None = None
        self._sent_conflated: Tally = Counter()

    def is_due(self, now: Millis) -> bool:
        if self._at is None:
            return True
        return now - self._at >= (MIN_INTERVAL_MS if self.has_news else MAX_INTERVAL_MS)

    def frames(self, reached: Position, conflated: Tally, *, now: Millis) -> list[ServerFrame]:
        """The frames that are due: what was conflated on the way, then the position."""
        self._at, self.has_news = now, False
        # What was told may be read again and be sent this time: the books forget it, what was told stays told.
        news = {
            kind.value: conflated[kind] - self._sent_conflated[kind]
            for kind in EventType
            if conflated[kind] > self._sent_conflated[kind]
        }
        self._sent_conflated |= conflated
        position = PositionReached(streams=stream_positions(reached))
        return [Conflated(counts=news), position] if news else [position]
