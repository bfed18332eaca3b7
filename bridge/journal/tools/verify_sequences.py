"""Verification of all events and all inputs, each against its predecessor."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridge.domain.envelope import event_id
from bridge.domain.event_topic import format_state_key
from bridge.domain.events import Standing
from bridge.domain.records import JournalEntry, count_key
from bridge.domain.reports import Disposition, Effect
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.rows import read_event, read_input
from bridge.journal.tools.read_only import JournalSummary
from bridge.journal.tools.row_reader import Row, UnreadableKeys

MAX_LISTED_FAULTS: Final = 20  # of one part: a lost page damages a hundred rows, and one cause needs no thousand lines


@dataclass(slots=True)
class VerifiedPart:
    """One verified part of a journal: its scope and its faults."""

    name: str
    scope: str = ""
    faults: list[str] = field(default_factory=list)
    omitted_faults: int = 0
    """Faults beyond those listed."""

    def add_fault(self, text: str) -> None:
        if len(self.faults) < MAX_LISTED_FAULTS:
            self.faults.append(text)
        else:
            self.omitted_faults += 1


class SequenceVerifier(ABC):
    """Verifies that keys have no gap from the oldest promised one to `last`."""

    noun = ""

    def __init__(self, path: Path, facts: JournalSummary, *, oldest: int, last: int) -> None:
        self.part = VerifiedPart(f"{self.noun}s")
        self.seen = 0
        self.reached = 0
        self.oldest = oldest
        self.last = last
        self._path = path
        self._facts = facts
        self._next = oldest

    def verify_page(self, page: list[Row] | UnreadableKeys) -> None:
        """Verify the next rows, or record a fault for a range that cannot be read."""
        if isinstance(page, UnreadableKeys):
            self.part.add_fault(f"{self.noun} {page.first} cannot be read: {page.reason}")
            self._next = max(self._next, page.last + 1)
            self.reached = page.last
            self._on_gap()
            return
        for *row, oldest in page:
            self.oldest = max(self.oldest, oldest)  # retention may prune meanwhile
            self._expect_key(row[0])
            self.seen += 1
            self.reached = row[0]
            try:
                self._verify_row(tuple(row))
            except JournalDamaged as damage:
                self.part.add_fault(damage.finding)
                self._on_gap()
            except (ValueError, TypeError, AttributeError) as error:  # a column holds an invalid value
                self.part.add_fault(f"{self.noun} {row[0]}: {error}")
                self._on_gap()

    def finish(self) -> None:
        """Check the end of the sequence. The caller has set `oldest` to its final value."""
        self._expect_key(self.last + 1)
        self.part.scope = f"{self.seen:,} held, {self.oldest} to {self.last}"

    def _expect_key(self, key: int) -> None:
        expected = max(self._next, self.oldest)
        if key > expected:
            missing = f"{self.noun} {expected}" if key - expected == 1 else f"{self.noun}s {expected} to {key - 1}"
            self.part.add_fault(f"{missing} missing")
        if key != self._next:  # rows are missing, were pruned, or were kept from before pruned ones
            self._on_gap()
        self._next = max(self._next, key + 1)

    def _on_gap(self) -> None:  # noqa: B027 - most sequences have nothing to do
        """Handle a row that is missing or unreadable."""

    @abstractmethod
    def _verify_row(self, row: Row) -> None:
        """Verify one readable row; raise JournalDamaged for an invalid one."""


class EventVerifier(SequenceVerifier):
    """Verifies each event's checksum and id, and collects the current event of each state key."""

    noun = "event"

    def __init__(self, path: Path, facts: JournalSummary) -> None:
        super().__init__(path, facts, oldest=facts.meta.oldest_offset, last=facts.meta.last_offset)
        self.current: dict[str, int] = {}

    def _verify_row(self, row: Row) -> None:
        event = read_event(row, self._path)
        expected = event_id(self._facts.meta.stream, self._facts.epoch_of(event.offset), event.offset)
        if event.id != expected:
            self.part.add_fault(f"event {event.offset} has the id {event.id}, not {expected}")
        key = format_state_key(event.state_key)
        if event.standing is Standing.CURRENT:
            self.current[key] = event.offset
        elif event.standing is Standing.CLOSED:
            self.current.pop(key, None)


class InputVerifier(SequenceVerifier):
    """Verifies each input's checksum and that its events follow those of the input before; counts the inputs."""

    noun = "input"

    def __init__(self, path: Path, facts: JournalSummary) -> None:
        super().__init__(path, facts, oldest=facts.meta.oldest_number, last=facts.meta.last_number)
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.latest_arrival = 0
        self._next_offset: int | None = 1 if facts.meta.oldest_number == 1 else None  # None: unknown

    def _on_gap(self) -> None:
        self._next_offset = None

    def _verify_row(self, row: Row) -> None:
        given = read_input(row, self._path)
        effect, reason, rejected, _, first, count = row[6:12]
        disposition = Disposition(Effect(effect), reason, bool(rejected))
        self.counts[count_key(JournalEntry(input=given, disposition=disposition))] += 1
        self.latest_arrival = max(self.latest_arrival, given.received_at)
        if count and given.number >= self.oldest:  # older inputs that are still held have lost their neighbours
            if self._next_offset is not None and first != self._next_offset:
                self.part.add_fault(f"the events of input {given.number} begin at {first}, not at {self._next_offset}")
            self._next_offset = first + count

    def finish(self) -> None:
        super().finish()
        last = self._facts.meta.last_offset
        if self._next_offset not in (None, last + 1):
            self.part.add_fault(f"the inputs' events end before {self._next_offset}, and the last offset is {last}")
