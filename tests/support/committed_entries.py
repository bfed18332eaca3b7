"""Entries that a pipeline under test committed."""

import json
from dataclasses import dataclass, field
from typing import Any

from bridge.domain.records import JournalEntry
from bridge.journal.sqlite.writer import SqliteJournal


@dataclass(slots=True, kw_only=True)
class CommittedEntries:
    """A journal, and the entries that were committed to it since the pipeline started."""

    journal: SqliteJournal
    entries: list[JournalEntry] = field(default_factory=list)

    def events(self, event_type: str) -> list[dict[str, Any]]:
        """Return the bodies of all events of this type in the journal."""
        bodies = [json.loads(event.body) for event in self.journal.events_after(0, limit=100_000)]
        return [body for body in bodies if body["type"] == event_type]

    def dispositions(self) -> list[tuple[str, str | None]]:
        """Return what became of the messages since the start, ticks left out."""
        return [(e.disposition.effect.value, e.disposition.reason) for e in self.entries if e.input.topic]
