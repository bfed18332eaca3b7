"""Outbox of one dashboard: a lossless queue, the latest event per state key of the other types, and a ledger of both.

Promise P3: loss policy belongs to the event type. A slow dashboard costs a bounded amount of memory and never an alarm.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.event_topic import StateKey
from bridge.domain.events import EventType
from bridge.domain.records import CommittedEvent, merge_by_offset

CONFLATED_OVERHEAD_BYTES: Final = 128  # bytes to record that an event was conflated behind one that is still queued
Tally = Counter[EventType]


@dataclass(slots=True)
class Ledger:
    """Outcomes of all matched events, counted by type: `matched` is always the sum of the other columns.

    An event that is spilled leaves `matched`, and is matched again when it is read from the journal.
    """

    matched: Tally = field(default_factory=Counter)
    sent: Tally = field(default_factory=Counter)
    conflated: Tally = field(default_factory=Counter)  # replaced by a later one of its state key
    revoked: Tally = field(default_factory=Counter)  # queued when its grant or its subscription ended
    abandoned: Tally = field(default_factory=Counter)  # queued when the connection ended
    pending: Tally = field(default_factory=Counter)
    spilled: Tally = field(default_factory=Counter)  # queued when left to the journal; no longer in `matched`
    spilled_conflated: Tally = field(default_factory=Counter)  # no longer in `matched` nor in `conflated`

    def add(self, other: "Ledger") -> None:
        mine = (*self.columns().values(), self.spilled, self.spilled_conflated)
        theirs = (*other.columns().values(), other.spilled, other.spilled_conflated)
        for tally, more in zip(mine, theirs, strict=True):
            tally.update(more)

    def is_balanced(self) -> bool:
        """Return whether `matched` is the sum of the other columns, for every type."""
        out = Counter[EventType]()
        for name, column in self.columns().items():
            if name != "matched":
                out.update(column)
        return +out == +self.matched

    def as_data(self) -> Mapping[str, Mapping[str, int]]:
        """Return the columns by name, without zeros."""
        return {
            name: {kind.value: count for kind, count in sorted(column.items()) if count}
            for name, column in self.columns().items()
        }

    def totals(self) -> Mapping[str, Tally]:
        """Return counts that never fall, also when events are spilled: of all matches, and of their outcomes by name.

        `matched` is the sum of the others and `pending`. An event that is spilled and read again is matched twice.
        """
        return {
            "matched": self.matched + self.spilled + self.spilled_conflated,
            "sent": self.sent,
            "conflated": self.conflated + self.spilled_conflated,
            "revoked": self.revoked,
            "abandoned": self.abandoned,
            "spilled": self.spilled,
        }

    def columns(self) -> Mapping[str, Tally]:
        return {
            "matched": self.matched,
            "sent": self.sent,
            "conflated": self.conflated,
            "revoked": self.revoked,
            "abandoned": self.abandoned,
            "pending": self.pending,
        }


class Outbox:
    """Queues events for one dashboard until they are sent; they are offered and taken in ascending order of offset.

    `max_events` bounds the lossless backlog. `max_bytes` bounds all queued events: the memory that one dashboard costs
    when it stops reading. Outboxes share an event, but every outbox counts the whole event, so the bound holds even if
    it is the only one that still holds it.
    """

    __slots__ = (
        "_bytes",
        "_conflated_behind",
        "_in_flight",
        "_latest",
        "_lossless",
        "_max_bytes",
        "_max_events",
        "ledger",
    )

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.ledger = Ledger()
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._lossless: deque[CommittedEvent] = deque()
        self._latest = dict[StateKey, CommittedEvent]()  # ascending: a key that gets a later event moves to the end
        self._in_flight: list[CommittedEvent] = []
        self._conflated_behind: list[tuple[int, EventType]] = []  # conflated, at an offset above the first queued one
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of queued events, without those being sent."""
        return len(self._lossless) + len(self._latest)

    @property
    def bytes(self) -> int:
        return self._bytes

    @property
    def is_balanced(self) -> bool:
        """Return whether the ledger adds up, and its pending events are those queued or being sent."""
        return self.ledger.is_balanced() and self.ledger.pending.total() == len(self) + len(self._in_flight)

    @property
    def is_over_limit(self) -> bool:
        return len(self._lossless) > self._max_events or self._bytes > self._max_bytes

    def first_offset(self) -> int | None:
        """Return the smallest queued offset, None when nothing is queued: all below it was sent or conflated."""
        heads = [next(iter(self._latest.values())).offset] if self._latest else []
        if self._lossless:
            heads.append(self._lossless[0].offset)
        return min(heads, default=None)

    def offer(self, event: CommittedEvent) -> None:
        """Queue one matching event, whose offset is above all queued ones. Check `is_over_limit` afterwards."""
        topic = event.topic
        self.ledger.matched[topic.type] += 1
        self.ledger.pending[topic.type] += 1
        self._bytes += event.memory_bytes
        if event.is_lossless:
            self._lossless.append(event)
            return
        former = self._latest.pop(topic.state_key, None)
        self._latest[topic.state_key] = event
        if former is not None:
            self._drop(former, self.ledger.conflated)
            self._record_conflated(former)

    def count_conflated(self, event: CommittedEvent) -> None:
        """Count a matching event read from the journal that a later one of its state key already supersedes."""
        self.ledger.matched[event.type] += 1
        self.ledger.conflated[event.type] += 1

    def take(
        self, *, max_events: int, max_bytes: int, up_to: int | None = None, lossless_only: bool = False
    ) -> list[CommittedEvent]:
        """Take the first queued events, by offset, at least one if there is one; `mark_sent` then counts them."""
        assert not self._in_flight, "the events taken last are not marked as sent"
        size = 0
        for event in self._in_order(lossless_only=lossless_only):
            size += len(event.body)
            full = len(self._in_flight) == max_events or (self._in_flight and size > max_bytes)
            if full or (up_to is not None and event.offset > up_to):
                break
            self._in_flight.append(event)
        for event in self._in_flight:
            self._bytes -= event.memory_bytes
            if event.is_lossless:
                self._lossless.popleft()
            else:
                del self._latest[event.topic.state_key]
        self._clear_conflated()
        return self._in_flight

    def mark_sent(self) -> None:
        """Count the events taken last as sent: they have reached the socket."""
        for event in self._in_flight:
            event_type = event.topic.type
            self.ledger.pending[event_type] -= 1
            self.ledger.sent[event_type] += 1
        self._in_flight = []

    def revoke(self, keep: Callable[[CommittedEvent], bool]) -> None:
        """Drop the queued events for which `keep` is False."""
        waiting = list(self._in_order())
        self._lossless = deque(event for event in waiting if event.is_lossless and keep(event))
        self._latest = {event.state_key: event for event in waiting if not event.is_lossless and keep(event)}
        kept = {event.offset for event in (*self._lossless, *self._latest.values())}
        for event in waiting:
            if event.offset not in kept:
                self._drop(event, self.ledger.revoked)
        self._clear_conflated()

    def spill(self) -> int | None:
        """Leave all queued events to the journal; returns the offset to read after, None when nothing was queued.

        Events read again are matched again, so the ledger uncounts them, and those that were conflated behind them.
        """
        first = self.first_offset()
        if first is None:
            return None
        for event in self._in_order():
            self._drop(event, self.ledger.matched, by=-1)
            self.ledger.spilled[event.type] += 1
        for offset, kind in self._conflated_behind:
            if offset > first:
                self.ledger.matched[kind] -= 1
                self.ledger.conflated[kind] -= 1
                self.ledger.spilled_conflated[kind] += 1
        self._clear()
        return first - 1

    def abandon(self) -> None:
        """Count all events not yet sent as abandoned: the connection has ended."""
        for event in (*self._in_flight, *self._in_order()):
            self.ledger.pending[event.type] -= 1
            self.ledger.abandoned[event.type] += 1
        self._in_flight = []
        self._clear()

    def _in_order(self, *, lossless_only: bool = False) -> Iterator[CommittedEvent]:
        if lossless_only:
            return iter(self._lossless)
        return merge_by_offset(self._lossless, self._latest.values())

    def _drop(self, event: CommittedEvent, column: Tally, *, by: int = 1) -> None:
        self._bytes -= event.memory_bytes
        self.ledger.pending[event.type] -= 1
        column[event.type] += by

    def _record_conflated(self, conflated: CommittedEvent) -> None:
        """Record an event that `spill` must uncount: a journal read from the first queued event meets it again."""
        first = self.first_offset()
        if first is not None and first < conflated.offset:
            self._conflated_behind.append((conflated.offset, conflated.type))
            self._bytes += CONFLATED_OVERHEAD_BYTES

    def _clear_conflated(self) -> None:
        if self._conflated_behind and not len(self):
            self._bytes -= CONFLATED_OVERHEAD_BYTES * len(self._conflated_behind)
            self._conflated_behind.clear()

    def _clear(self) -> None:
        self._lossless.clear()
        self._latest.clear()
        self._conflated_behind.clear()
        self._bytes = 0
