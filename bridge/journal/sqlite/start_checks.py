"""Checks before a journal is used, of bounded cost: a start takes as long with ten million events as with few.

In a small file all structures and indexes are checked. In a large one those of the small tables are, the rows at both
ends, and the current events. Epochs, quarantine decisions and digests of messages that crashed the core are few: all of
their checksums are verified. Other damage is found when a row is read, and by `floor journal verify`.
"""

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

from bridge.journal.sqlite.epochs import read_epochs
from bridge.journal.sqlite.errors import JournalDamaged, StreamMismatch
from bridge.journal.sqlite.lock_file import CommitMarker
from bridge.journal.sqlite.quarantine_decisions import check_decisions
from bridge.journal.sqlite.rows import (
    EVENT_COLUMNS,
    INPUT_COLUMNS,
    read_crash_digest,
    read_current,
    read_event,
    read_input,
)
from bridge.journal.sqlite.schema import SCHEMA, Meta, create_tables, read_meta, require_meta_row

FULL_CHECK_BYTES: Final = 64 * 1024**2  # checked whole up to here: 0.1 s; 10 GB take a minute, more on a cold disk
END_ROWS: Final = 1_000  # events and inputs checked at each end
SMALL_TABLES: Final = (
    "meta", "epochs", "hourly_positions", "quarantine_decisions", "current_events", "checkpoints", "commands",
    "counters", "dedup_digests", "crash_digests", "retained_topics",
    "ages", "handled", "current", "resends", "suspects", "retained",  # of schemas 1 to 3
)  # fmt: skip

ALL_COLUMNS: Final = """
SELECT tables.name, columns.* FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table'
"""


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `JournalDamaged` if SQLite finds its own structures broken, indexes included."""
    (size,) = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    parts = ["1"]
    if size > FULL_CHECK_BYTES:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
        parts = [f"'{name}'" for name in SMALL_TABLES if name in tables]  # each schema has some of them
    for part in parts:
        findings = [row[0] for row in connection.execute(f"PRAGMA integrity_check({part})")]
        if findings != ["ok"]:
            raise JournalDamaged(path, str(findings[0]).splitlines()[-1])


def check_consistency(connection: sqlite3.Connection, path: Path, *, stream: str, marker: CommitMarker | None) -> None:
    """Raise `StreamMismatch`, or `JournalDamaged` if columns, marker, ends, counts or checked rows are wrong."""
    _check_columns(connection, path)
    meta = read_meta(connection, path)
    if meta.stream != stream:
        raise StreamMismatch(path, expected=stream, found=meta.stream)
    read_epochs(connection, path)
    if marker is not None:
        check_marker(connection, path, marker)
    ends = connection.execute(
        "SELECT (SELECT min(offset) FROM events WHERE offset >= ?), (SELECT max(offset) FROM events),"
        " (SELECT min(number) FROM inputs WHERE number >= ?), (SELECT max(number) FROM inputs)",
        (meta.oldest_offset, meta.oldest_number),
    ).fetchone()
    for first, last, found_first, found_last in (
        (meta.oldest_offset, meta.last_offset, *ends[:2]),
        (meta.oldest_number, meta.last_number, *ends[2:]),
    ):
        emptied = first == last + 1  # by retention, or nothing was there yet; older rows may be held
        if (found_first, found_last) != (first, last) and not (emptied and found_first is None):
            raise JournalDamaged(path, "its tables do not begin or end where it says")
    (counted,) = connection.execute("SELECT coalesce(sum(count), 0) FROM counters").fetchone()
    (restorable,) = connection.execute("SELECT coalesce(max(number), 0) FROM checkpoints").fetchone()
    if counted != meta.last_number or not meta.oldest_number - 1 <= restorable <= meta.last_number:
        raise JournalDamaged(path, "its counters and checkpoints do not agree with its inputs")
    _check_rows(connection, path, meta)


def check_marker(connection: sqlite3.Connection, path: Path, marker: CommitMarker) -> None:
    """Raise `JournalDamaged` if the journal, of schema 2 or newer, lacks commits that its owner's marker counts."""
    epoch, commits = require_meta_row(connection.execute("SELECT epoch, commits FROM meta").fetchone(), path)
    epochs = {row[0] for row in connection.execute("SELECT epoch FROM epochs")}
    if marker.commits > commits or not {epoch, marker.epoch} <= epochs:
        raise JournalDamaged(
            path,
            f"it holds {commits} commits of epoch {epoch}, and its .lock knows of {marker.commits} of {marker.epoch}: "
            "its -wal is lost or damaged, or another file has taken its place",
        )


def _check_columns(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `JournalDamaged` if columns differ from a new journal's: a flipped name would show only at first use.

    Compares what this SQLite reads from both, not the SQL text, which another version may have written differently.
    """
    columns = set(connection.execute(ALL_COLUMNS))
    if different := sorted({name for name, *_ in _columns() - columns}):
        raise JournalDamaged(path, f"{', '.join(different)}: not the columns of schema {SCHEMA}")


@cache
def _columns() -> frozenset[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_tables(connection, epoch="", stream="")
        return frozenset(connection.execute(ALL_COLUMNS))


def _check_rows(connection: sqlite3.Connection, path: Path, meta: Meta) -> None:
    """Verify the rows at both ends, the current events, the quarantine decisions and the crash digests."""
    read_current(connection, path)
    check_decisions(connection, path)
    for row in connection.execute("SELECT number, digest, checksum FROM crash_digests"):
        read_crash_digest(row, path)
    for order in ("", "DESC"):
        events = connection.execute(
            # our own constants
            f"SELECT {EVENT_COLUMNS} FROM events WHERE offset >= ? ORDER BY offset {order} LIMIT ?",  # noqa: S608
            (meta.oldest_offset, END_ROWS),
        )
        for row in events:
            read_event(row, path)
        inputs = connection.execute(
            f"SELECT {INPUT_COLUMNS} FROM inputs LEFT JOIN quarantine USING (number) "  # noqa: S608 - our own constants
            f"WHERE inputs.number >= ? ORDER BY inputs.number {order} LIMIT ?",
            (meta.oldest_number, END_ROWS),
        )
        for row in inputs:
            read_input(row, path)
