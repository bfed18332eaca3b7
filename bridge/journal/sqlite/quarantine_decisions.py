"""Decisions about quarantined inputs: rows of `quarantine_decisions`, each verified by its checksum."""

import sqlite3
from pathlib import Path
from typing import Any, Final, Literal, cast

from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.rows import require_checksum
from bridge.journal.sqlite.schema import row_checksum

QuarantineDecision = Literal["asked", "replayed", "dropped"]

DECISION_COLUMNS: Final = "quarantine_decisions.number, decision, decided_at, quarantine_decisions.checksum"


def read_decision(row: tuple[Any, ...], path: Path) -> QuarantineDecision | None:
    """Return the decision in a row; None for the columns of an outer join that found no decision."""
    number, decision, decided_at, checksum = row
    if number is None:
        return None
    require_checksum(
        path, "quarantine_decisions", f"the decision about input {number}", (number, decision, decided_at), checksum
    )
    return cast("QuarantineDecision", decision)


def find_decision(connection: sqlite3.Connection, path: Path, number: int) -> QuarantineDecision | None:
    """Return the decision about this input, None if there is none."""
    query = f"SELECT {DECISION_COLUMNS} FROM quarantine_decisions WHERE number = ?"  # noqa: S608 - our own constant
    row = connection.execute(query, (number,)).fetchone()
    return read_decision(row, path) if row else None


def check_decisions(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `JournalDamaged` if a decision does not match its checksum.

    Checks the whole table: a lookup by input does not find a decision whose number was flipped.
    """
    for row in connection.execute(f"SELECT {DECISION_COLUMNS} FROM quarantine_decisions"):  # noqa: S608 - our own constant
        read_decision(row, path)


def write_decision(writer: sqlite3.Connection, number: int, decision: QuarantineDecision, decided_at: Millis) -> None:
    fields = (number, decision, decided_at)
    writer.execute("INSERT OR REPLACE INTO quarantine_decisions VALUES (?, ?, ?, ?)", (*fields, row_checksum(*fields)))
