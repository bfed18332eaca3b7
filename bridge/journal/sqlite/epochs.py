"""Epochs of a journal: rows of `epochs`, each verified by its checksum."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.rows import require_checksum
from bridge.journal.sqlite.schema import row_checksum


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch: events from `first_offset` on carry it in their id."""

    epoch: str
    first_offset: int
    began_at: Millis
    reason: str  # created, restored, plant


def read_epochs(connection: sqlite3.Connection, path: Path) -> Sequence[Epoch]:
    """Return every epoch, oldest first; raise `JournalDamaged` if one does not match its checksum."""
    rows = connection.execute(
        "SELECT epoch, first_offset, began_at, reason, checksum FROM epochs ORDER BY first_offset, began_at"
    ).fetchall()
    for *fields, checksum in rows:
        require_checksum(path, "epochs", f"epoch {fields[0]}", fields, checksum)
    return [Epoch(*fields) for *fields, _ in rows]


def write_epoch(writer: sqlite3.Connection, epoch: Epoch) -> None:
    fields = astuple(epoch)
    writer.execute("INSERT INTO epochs VALUES (?, ?, ?, ?, ?)", (*fields, row_checksum(*fields)))
