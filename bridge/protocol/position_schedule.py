"""Schedule of `position` and `conflated` frames. Source: protocol.md, «Server frames» and «Order of delivery»."""

from collections import Counter
from typing import Final

from bridge.domain.events import EventType
from bridge.domain.records import Position
from bridge.domain.utc_time import Millis
from bridge.protocol.ledger import Tally
from bridge.protocol.server_frames import Conflated, PositionReached, ServerFrame, stream_positions

MIN_INTERVAL_MS: Final = 1_000  # after a delivery: at most one position a second
MAX_INTERVAL_MS: Final = 5_000  # without one: a position every 5 s


class PositionSchedule:
    """Decides when a position is due. `now`: ms from any start."""

    __slots__ = ("_sent_at", "_sent_conflated")

    def __init__(self) -> None:
        self._sent_at: Millis | None = None
        self._sent_conflated: Tally = Counter()

    def is_due(self, now: Millis, *, has_news: bool) -> bool:
        """Return whether a position is due; `has_news`: events were sent since the last one."""
        if self._sent_at is None:
            return True
        return now - self._sent_at >= (MIN_INTERVAL_MS if has_news else MAX_INTERVAL_MS)

    def frames(self, position: Position, conflated: Tally, *, now: Millis) -> list[ServerFrame]:
        """Return the frames that are due: `conflated` with the counts since the last one, if any, then `position`."""
        self._sent_at = now
        frames: list[ServerFrame] = []
        if conflated != self._sent_conflated:
            new_counts = conflated - self._sent_conflated
            frames.append(Conflated(counts={kind.value: new_counts[kind] for kind in EventType if new_counts[kind]}))
            self._sent_conflated = conflated.copy()
        return [*frames, PositionReached(streams=stream_positions(position))]
