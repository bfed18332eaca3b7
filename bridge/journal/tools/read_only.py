"""Read-only access to a journal's file, identity and ends; safe while the bridge runs."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.journal.sqlite.epochs import Epoch, read_epochs
from bridge.journal.sqlite.errors import JournalDamaged, JournalTooNew, JournalTooOld
from bridge.journal.sqlite.file import BUSY_SECONDS
from bridge.journal.sqlite.lock_file import lock_path
from bridge.journal.sqlite.schema import APPLICATION_ID, SCHEMA, Meta, read_meta
from bridge.ports.journal import JournalError

READ_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""Errors of SQLite for a damaged file: its message may quote flipped bytes that do not decode."""

JOURNAL_SUFFIXES: Final = ("", "-wal", "-shm", "-journal", ".lock", ".new", ".restoring")
"""Of the files that SQLite, the owner and a restore open by name beside a journal."""


class NoJournal(JournalError):
    """There is no readable journal under this name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """A journal's identity and ends at one moment."""

    schema: int
    meta: Meta
    epochs: Sequence[Epoch]  # oldest first

    def epoch_of(self, offset: int) -> str:
        """Return the epoch of the event at `offset`; the later one if two began there."""
        return next((epoch.epoch for epoch in reversed(self.epochs) if epoch.first_offset <= offset), "")


def sidecar_path(path: Path, suffix: str) -> Path:
    """Return the path with a suffix, as of the files that SQLite keeps beside a journal: `-wal`, `-shm`."""
    return path.with_name(path.name + suffix)


def journal_beside(file: Path) -> Path | None:
    """Return the existing journal that opens `file` by its name, as its -wal or the like; None if there is none."""
    suffixes = (suffix for suffix in JOURNAL_SUFFIXES[1:] if file.name.endswith(suffix) and file.name != suffix)
    bases = (file.with_name(file.name.removesuffix(suffix)) for suffix in suffixes)
    return next((base for base in bases if base.is_file()), None)


def is_journal_file(file: Path, journal: Path) -> bool:
    """Return whether `file`, existing or not, is one of the journal's files, also by a link to it."""
    names = {journal.absolute(), journal.resolve()}  # SQLite keeps its files beside the target of a link
    return any(is_same_file(file, sidecar_path(name, suffix)) for name in names for suffix in JOURNAL_SUFFIXES)


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two names, of existing files or not, are of one file."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def has_been_run(path: Path) -> bool:
    """Return whether a bridge has run on this journal: a copy has neither a -wal nor a lock file."""
    return sidecar_path(path, "-wal").exists() or lock_path(path).exists()


def open_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write and accepts invalid text; raise `NoJournal`.

    The owner may write meanwhile. SQLite's errors while reading are not translated: the tools report them in detail.
    """
    if not path.is_file():
        raise NoJournal(path, "is not a file" if path.exists() else "no such file")
    # a copy that no bridge has run is opened as immutable: no -wal appears beside it, and its folder need not be
    # writable. Otherwise mode=ro: a close then never checkpoints the -wal into a file that may be damaged
    name = f"{path.absolute().as_uri()}?{'mode=ro' if has_been_run(path) else 'immutable=1'}"
    try:
        connection = sqlite3.connect(name, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
    except sqlite3.Error as error:
        raise NoJournal(path, f"cannot be opened: {error}") from error
    # a flipped bit may make text invalid: the checksum must detect it, not a decoding error here
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return connection


@contextmanager
def translate_read_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors in the block into `NoJournal` or `JournalDamaged`."""
    try:
        yield
    except sqlite3.OperationalError as error:  # no access, no room for a -shm
        raise NoJournal(path, f"cannot be read: {error}") from error
    except READ_ERRORS as error:
        raise JournalDamaged(path, str(error)) from error


def read_summary(connection: sqlite3.Connection, path: Path) -> JournalSummary:
    """Return the journal's identity and ends; raise `NoJournal`, or the `JournalError` that names the fault."""
    meta = read_checked_meta(connection, path)
    try:
        return JournalSummary(SCHEMA, meta, read_epochs(connection, path))
    except READ_ERRORS as error:
        raise JournalDamaged(path, str(error)) from error


def read_checked_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    """Return the meta of a journal of this version's schema; raise as `read_summary`."""
    with translate_read_errors(path):
        connection.execute("PRAGMA schema_version").fetchone()
    try:
        check_schema(connection, path)
        return read_meta(connection, path)
    except READ_ERRORS as error:
        raise JournalDamaged(path, str(error)) from error


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `JournalTooOld`, `JournalTooNew` or `JournalDamaged` unless this is a journal of this version's schema."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalDamaged(path, "not a journal")
    schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if schema > SCHEMA:
        raise JournalTooNew(path, found=schema, known=SCHEMA)
    if schema < 1:
        raise JournalDamaged(path, "no schema number")
    if schema < SCHEMA:
        raise JournalTooOld(path, found=schema, known=SCHEMA)
