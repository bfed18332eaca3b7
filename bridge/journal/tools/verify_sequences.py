"""The long walks of a verification: over all events and over all inputs, each held against the one before it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridge.domain.events import Standing, event_id
from bridge.domain.records import JournalEntry, count_key
from bridge.domain.reports import Disposition, Effect
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.rows import read_event, read_input
from bridge.journal.tools.read_only import JournalSummary
from bridge.journal.tools.row_reader import Row, UnreadableKeys

MAX_LISTED_FAULTS: Final = 20  # of one part: a lost page damages a hundred rows, and one cause needs no thousand lines


@dataclass(slots=True)
class VerifiedPart:
    """One thing that was looked at, how much of it, and what is wrong with it."""

    name: str
    scope: str = ""
    faults: list[str] = field(default_factory=list)
    omitted_faults: int = 0
    """Faults beyond those told."""

    def add_fault(self, text: str) -> None:
        if len(self.faults) < MAX_LISTED_FAULTS:
            self.faults.append(text)
        else:
            self.omitted_faults += 1


class SequenceVerifier:
    """Keys without a hole from the oldest promised one to `last`."""

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

    def verify_page(self, found: list[Row] | UnreadableKeys) -> None:
        """Look at the next rows, or note what cannot be read."""
        if isinstance(found, UnreadableKeys):
            self.part.add_fault(f"{self.noun} {found.first} cannot be read: {found.reason}")
            self._next = max(self._next, found.last + 1)
            self.reached = found.last
            self._on_gap()
            return
        for *row, oldest in found:
            self.oldest = max(self.oldest, oldest)  # retention goes on meanwhile
            self._expect_key(row[0])
            self.seen += 1
            self.reached = row[0]
            try:
                self._verify_row(tuple(row))
            except JournalDamaged as damage:
                self.part.add_fault(damage.finding)
                self._on_gap()
            except (ValueError, TypeError, AttributeError) as error:  # a column that holds something else
                self.part.add_fault(f"{self.noun} {row[0]}: {error}")
                self._on_gap()

    def finish(self) -> None:
        """Look at how it ended. `oldest` is by then that of the end."""
        self._expect_key(self.last + 1)
        self.part.scope = f"{self.seen:,} held, {self.oldest} to {self.last}"

    def _expect_key(self, key: int) -> None:
        expected = max(self._next, self.oldest)
        if key > expected:
            missing = f"{self.noun} {expected}" if key - expected == 1 else f"{self.noun}s {expected} to {key - 1}"
            self.part.add_fault(f"{missing} missing")
        if key != self._next:  # a hole, one that retention left, or what it kept before it
            self._on_gap()
        self._next = max(self._next, key + 1)

    def _on_gap(self) -> None:
        """Take note that a row is not known."""

    def _verify_row(self, row: Row) -> None:
        raise NotImplementedError


class EventVerifier(SequenceVerifier):
    """Every event sealed, with the id of its epoch; and what is current after the last of them."""

    noun = "event"

    def __init__(self, path: Path, facts: JournalSummary) -> None:
        super().__init__(path, facts, oldest=facts.meta.oldest_offset, last=facts.meta.last_offset)
        self.current: dict[str, int] = {}

    def _verify_row(self, row: Row) -> None:
        event = read_event(row, self._path)
        expected = event_id(self._facts.meta.stream, self._facts.epoch_of(event.offset), event.offset)
        if event.id != expected:
            self.part.add_fault(f"event {event.offset} has the id {event.id}, not {expected}")
        key = "/".join(event.state_key)
        if event.standing is Standing.CURRENT:
            self.current[key] = event.offset
        elif event.standing is Standing.CLOSED:
            self.current.pop(key, None)


class InputVerifier(SequenceVerifier):
    """Every input sealed, its events following those of the one before; and how many were what."""

    noun = "input"

    def __init__(self, path: Path, facts: JournalSummary) -> None:
        super().__init__(path, facts, oldest=facts.meta.oldest_number, last=facts.meta.last_number)
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.latest_arrival = 0
        self._next_offset: int | None = 1 if facts.meta.oldest_number == 1 else None  # None: not known

    def _on_gap(self) -> None:
        self._next_offset = None

    def _verify_row(self, row: Row) -> None:
        given = read_input(row, self._path, whole_after=self._facts.meta.whole_after)
        effect, reason, rejected, _, first, count = row[6:12]
        disposition = Disposition(Effect(effect), reason, bool(rejected))
        self.counts[count_key(JournalEntry(input=given, disposition=disposition))] += 1
        self.latest_arrival = max(self.latest_arrival, given.received_at)
        if count and given.number >= self.oldest:  # of what is held from before that the neighbours are gone
            if self._next_offset is not None and first != self._next_offset:
                self.part.add_fault(f"the events of input {given.number} begin at {first}, not at {self._next_offset}")
            self._next_offset = first + count

    def finish(self) -> None:
        super().finish()
        last = self._facts.meta.last_offset
        if self._next_offset not in (None, last + 1):
            self.part.add_fault(f"the inputs' events end before {self._next_offset}, and the last offset is {last}")
