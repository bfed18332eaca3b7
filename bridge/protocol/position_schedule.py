"""Schedule of a dashboard's `position` and `conflated` frames. Source: protocol.md, «Server frames»."""

from collections import Counter
from typing import Final

from bridge.domain.events import EventType
from bridge.domain.records import Position
from bridge.domain.utc_time import Millis
from bridge.protocol.outbox import Tally
from bridge.protocol.server_frames import Conflated, PositionReached, ServerFrame, stream_positions

MIN_INTERVAL_MS: Final = 1_000  # after a delivery: at most one position a second
MAX_INTERVAL_MS: Final = 5_000  # without one: a position every 5 s


class PositionSchedule:
    """Decides when a position is due. `has_news`: events were sent since the last one. `now`: ms from any start."""

    __slots__ = ("_sent_at", "_sent_conflated", "has_news")

    def __init__(self) -> None:
        self.has_news = False
        self._sent_at: Millis | None = None
        self._sent_conflated: Tally = Counter()

    def is_due(self, now: Millis) -> bool:
        if self._sent_at is None:
            return True
        return now - self._sent_at >= (MIN_INTERVAL_MS if self.has_news else MAX_INTERVAL_MS)

    def frames(self, position: Position, conflated: Tally, *, now: Millis) -> list[ServerFrame]:
        """Return the frames that are due: `conflated` with the counts since the last one, if any, then `position`."""
        self._sent_at, self.has_news = now, False
        # A reported event may be spilled, read again and sent: the ledger then uncounts it, the reported count stays.
        new_counts = {
            kind.value: conflated[kind] - self._sent_conflated[kind]
            for kind in EventType
            if conflated[kind] > self._sent_conflated[kind]
        }
        self._sent_conflated |= conflated
        frame = PositionReached(streams=stream_positions(position))
        return [Conflated(counts=new_counts), frame] if new_counts else [frame]
