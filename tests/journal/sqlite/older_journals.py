"""Journals of older schemas, and their content."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bridge.domain.events import Standing
from bridge.journal.sqlite.schema import row_checksum
from bridge.journal.sqlite.writer import SqliteJournal
from tests.support.journal_samples import (
    event,
    follow,
    make_older_journal,
    repr_checksum,
)

ROOT = Path(__file__).parents[3]


def schema_3_journal(path: Path, *statements: str) -> Path:
    """Make a journal of schema 3 and change it."""
    make_older_journal(path, "schema_3.sql")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.create_function("row_checksum", -1, row_checksum)
        connection.create_function("repr_checksum", -1, repr_checksum)
        for statement in statements:
            changes = connection.total_changes
            connection.execute(statement)
            assert connection.total_changes > changes
    return path


def require_continues(path: Path) -> None:
    """Require that the journal opens, keeps its epoch and takes new events."""
    journal = SqliteJournal.open(path, stream="main")
    epoch, offset = journal.epoch, journal.position().offset
    journal.commit(follow(journal, [event("later")], [event("later", standing=Standing.CLOSED)]))
    journal.close()
    again = SqliteJournal.open(path, stream="main")
    assert again.epoch == epoch
    assert [committed.offset for committed in again.events_after(offset, limit=9)] == [offset + 1, offset + 2]
    again.close()


def content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump(), str(connection.execute("PRAGMA user_version").fetchone())]
