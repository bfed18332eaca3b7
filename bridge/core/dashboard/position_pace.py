"""When a dashboard is told how far it has got, and what was conflated since: PROTOCOL, «Being told»."""

from collections import Counter
from typing import Final

from bridge.core.dashboard.outbox import Tally
from bridge.core.dashboard.server_frames import Conflated, PositionReached, ServerFrame, stream_at
from bridge.core.events import EventType, Millis
from bridge.core.records import Position

SOONEST_MS: Final = 1_000  # after a flush at most once a second,
LATEST_MS: Final = 5_000  # and at least every 5 s


class PositionPace:
    """`owed`: something was delivered since the last position. `now` is ms from any start."""

    __slots__ = ("_at", "_told", "owed")

    def __init__(self) -> None:
        self.owed = False
        self._at: Millis | None = None
        self._told: Tally = Counter()

    def due(self, now: Millis) -> bool:
        if self._at is None:
            return True
        return now - self._at >= (SOONEST_MS if self.owed else LATEST_MS)

    def tell(self, reached: Position, conflated: Tally, *, now: Millis) -> list[ServerFrame]:
        """The frames that are due: what was conflated on the way, then the position."""
        self._at, self.owed = now, False
        # What was told may be read again and be sent this time: the books forget it, what was told stays told.
        news = {
            kind.value: conflated[kind] - self._told[kind] for kind in EventType if conflated[kind] > self._told[kind]
        }
        self._told |= conflated
        position = PositionReached(streams=stream_at(reached))
        return [Conflated(counts=news), position] if news else [position]
