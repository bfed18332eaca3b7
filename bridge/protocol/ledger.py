"""Ledger of a dashboard's events: the outcome of each that its subscriptions selected, counted by type."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.domain.events import EventType
from bridge.domain.records import CommittedEvent

Tally = Counter[EventType]


@dataclass(slots=True)
class Ledger:
    """Counts of events that were sent, and of those that a later one of the same state key replaced before.

    An event counts when it has its outcome. One that is still to be sent has none, and is in the journal.
    """

    sent: Tally = field(default_factory=Counter)
    conflated: Tally = field(default_factory=Counter)

    def add(self, other: "Ledger", *, times: int = 1) -> None:
        for mine, theirs in ((self.sent, other.sent), (self.conflated, other.conflated)):
            for kind, count in theirs.items():
                mine[kind] += count * times

    def count_sent(self, events: Iterable[CommittedEvent]) -> None:
        sent = self.sent
        for event in events:
            sent[event.topic.type] += 1

    def count_conflated(self, events: Iterable[CommittedEvent]) -> None:
        conflated = self.conflated
        for event in events:
            conflated[event.topic.type] += 1

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
