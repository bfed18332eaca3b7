"""The store of the journal: a process opens it here, and knows it by its port."""

from pathlib import Path

from bridge.journal.sqlite.reader import SqliteReader
from bridge.ports.journal import Journal, ReplicatedJournal


def open_journal(path: Path, *, stream: str) -> Journal:
    """Open the journal as its only writer, and create or migrate it; raise `JournalError`."""
    from bridge.journal.sqlite.writer import SqliteJournal  # noqa: PLC0415 - a separate front has no writer

    return SqliteJournal.open(path, stream=stream)


def open_replica(path: Path, *, stream: str) -> ReplicatedJournal:
    """Open the journal of another process; raise `JournalError`."""
    return SqliteReader.open(path, stream=stream)
