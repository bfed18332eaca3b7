"""Ledger of a dashboard's events, and the schedule of the frames that report it: `conflated` and `position`.

Source: protocol.md, «Server frames» and «Order of delivery».
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.events import EventType
from bridge.domain.records import CommittedEvent, Position
from bridge.domain.utc_time import Millis
from bridge.protocol.server_frames import Conflated, PositionReached, ServerFrame, stream_positions

Tally = Counter[EventType]

MIN_INTERVAL_MS: Final = 1_000  # after a delivery: at most one position a second
MAX_INTERVAL_MS: Final = 5_000  # without one: a position every 5 s


@dataclass(slots=True)
class Ledger:
    """Counts of events that were sent, and of those that a later one of the same state key replaced before.

    An event counts when it has its outcome. One that is still to be sent has none, and is in the journal.
    """

    sent: Tally = field(default_factory=Counter)
    conflated: Tally = field(default_factory=Counter)

    def add(self, other: "Ledger") -> None:
        for mine, theirs in ((self.sent, other.sent), (self.conflated, other.conflated)):
            for kind, count in theirs.items():
                mine[kind] += count

    def count_sent(self, events: Iterable[CommittedEvent], *, times: int = 1) -> None:
        sent = self.sent
        for event in events:
            sent[event.topic.type] += times

    def count_conflated(self, events: Iterable[CommittedEvent], *, times: int = 1) -> None:
        conflated = self.conflated
        for event in events:
            conflated[event.topic.type] += times

    def since(self, earlier: "Ledger") -> "Ledger":
        """Return the counts that came after `earlier`, a former copy of this ledger."""
        return Ledger(self.sent - earlier.sent, self.conflated - earlier.conflated)

    def copy(self) -> "Ledger":
        return Ledger(self.sent.copy(), self.conflated.copy())

    def columns(self) -> Mapping[str, Tally]:
        """Return the counts by name; `matched` is the sum of the others."""
        return {"matched": self.sent + self.conflated, "sent": self.sent, "conflated": self.conflated}

    def as_data(self) -> Mapping[str, Mapping[str, int]]:
        """Return the columns by name, without zeros."""
        return {
            name: {kind.value: count for kind, count in sorted(column.items()) if count}
            for name, column in self.columns().items()
        }


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
