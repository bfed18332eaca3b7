"""Reads of a journal's rows in key order, also past damage; shared by verification and export."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bridge.journal.sqlite.rows import EVENT_COLUMNS, INPUT_COLUMNS
from bridge.journal.tools.read_only import READ_ERRORS

Row = tuple[Any, ...]

PAGE: Final = 2_000  # rows held at a time; also bounds how long one read delays the owner's checkpoint


@dataclass(frozen=True, slots=True)
class UnreadableKeys:
    """Keys `first` to `last` that SQLite cannot read, and its reason."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class ScannedTable:
    """A table with an integer key. A row begins with its key and ends with `oldest`, from which all keys are held."""

    columns: str
    tables: str
    key: str
    oldest: str


EVENT_TABLE: Final = ScannedTable(EVENT_COLUMNS, "events", "offset", "(SELECT oldest_offset FROM meta)")
INPUT_TABLE: Final = ScannedTable(
    INPUT_COLUMNS, "inputs LEFT JOIN quarantine USING (number)", "inputs.number", "(SELECT oldest_number FROM meta)"
)


def scan_rows(
    connection: sqlite3.Connection, source: ScannedTable, first: int, last: int
) -> Iterator[list[Row] | UnreadableKeys]:
    """Yield the rows with keys `first` to `last` in pages, and the ranges between them that cannot be read.

    Every page is read in a transaction of its own. A damaged range is crossed key by key.
    """
    after, step = first - 1, 0
    while after < last:
        until = min(after + step, last) if step else last
        rows, error = _read_page(connection, source, after, until)
        if rows:
            yield rows
        if error is None:
            if not step:
                if len(rows) < PAGE:
                    return
                after = rows[-1][0]
                continue
            after, step = until, (0 if step >= PAGE else step * 2)
            continue
        if rows:
            after = rows[-1][0]
        if step == 1:
            yield UnreadableKeys(until, until, error)
            after = until
        else:
            step = 1


def _read_page(
    connection: sqlite3.Connection, source: ScannedTable, after: int, until: int
) -> tuple[list[Row], str | None]:
    """Return a page of rows with keys in (after, until], and the error if one ended it."""
    rows: list[Row] = []
    try:
        for row in connection.execute(
            f"SELECT {source.columns}, {source.oldest} FROM {source.tables} "  # noqa: S608 - our own
            f"WHERE {source.key} > ? AND {source.key} <= ? ORDER BY {source.key} LIMIT {PAGE}",
            (after, until),
        ):
            if not isinstance(row[0], int) or row[0] <= after or (rows and row[0] <= rows[-1][0]):
                return rows, "keys out of order"  # a damaged B-tree may lead anywhere, also back
            rows.append(row)
    except READ_ERRORS as error:
        return rows, str(error)
    return rows, None
