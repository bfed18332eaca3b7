"""Creation, opening and validation of the journal's file."""

import fcntl
import os
import secrets
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from bridge.journal.sqlite.errors import JournalDamaged, JournalTooNew
from bridge.journal.sqlite.lock_file import CommitMarker
from bridge.journal.sqlite.schema import APPLICATION_ID, SCHEMA, create_tables
from bridge.ports.journal import JournalUnavailable

BUSY_SECONDS: Final = 5.0  # another process, such as a shell on the file, may hold a lock this long before we fail
SHARED_FIRST, SHARED_SIZE = 0x40000002, 510  # the byte range of SQLite's shared locks (os.h)


def require_no_leftovers(path: Path, *, marker: CommitMarker | None) -> None:
    """Raise `JournalDamaged` if parts of a journal remain at `path`: a new one must not replace them."""
    if path.with_name(path.name + "-wal").exists():
        raise JournalDamaged(path, "the file is missing, its -wal is still there")
    if marker is not None:
        raise JournalDamaged(path, f"the file is missing, its .lock knows of {marker.commits} commits")


def create_journal(path: Path, *, stream: str, marker: CommitMarker | None) -> None:
    """Create an empty journal with a new epoch. It appears complete under its name, or not at all."""
    require_no_leftovers(path, marker=marker)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # left by an interrupted start
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        create_tables(connection, epoch=new_epoch(), stream=stream)
    draft.rename(path)
    sync_directory(path.parent)


def new_epoch() -> str:
    return secrets.token_hex(8)


def connect(path: Path, *, writer: bool) -> sqlite3.Connection:
    """Return a connection that one thread at a time may use; only the writer's can write."""
    # rw: a file that has vanished must not come back empty. ro: closing the last reader must change nothing on disk;
    # SQLite would otherwise checkpoint the -wal and lose the commits behind a bad frame
    name = f"{path.absolute().as_uri()}?mode={'rw' if writer else 'ro'}"
    connection = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    try:
        if writer:
            connection.execute("PRAGMA synchronous=FULL")  # in WAL mode a commit returns after fsync: P1 depends on it
    except BaseException:  # the PRAGMA reads the schema, which may be damaged
        with prevent_wal_checkpoint(path), closing(connection):
            raise
    return connection


def read_schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema number, this version's or an older one; raise `JournalDamaged` or `JournalTooNew`."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalDamaged(path, "not a journal")
    schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if schema > SCHEMA:
        raise JournalTooNew(path, found=schema, known=SCHEMA)
    if schema < 1 or connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        raise JournalDamaged(path, "not in WAL mode" if schema else "no schema number")
    return schema


TRANSIENT_CODES: Final = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM,
})  # fmt: skip
"""Errors of the disk, of exhausted file descriptors or of another process's lock; they may pass."""


def primary_code(error: Exception) -> int:
    """Return SQLite's primary result code; SQLITE_ERROR for an error that has none, such as of undecodable text."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def is_transient(error: Exception) -> bool:
    """Return whether the machine caused the error and it may pass.

    A damaged file raises other errors: missing tables or undecodable text (SQLITE_ERROR).
    """
    return primary_code(error) in TRANSIENT_CODES


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors in the block into `JournalUnavailable` or `JournalDamaged`."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # UnicodeDecodeError: the message quotes the schema
        if is_transient(error):
            raise JournalUnavailable(f"{path}: {error}") from error
        raise JournalDamaged(path, str(error)) from error


@contextmanager
def open_connection(path: Path, *, writer: bool) -> Iterator[sqlite3.Connection]:
    """Yield a new connection. If the block fails, close it, leave the file unchanged and translate SQLite's errors."""
    with translate_errors(path):
        connection = connect(path, writer=writer)
        try:
            yield connection
        except BaseException:
            with prevent_wal_checkpoint(path), closing(connection):
                raise


@contextmanager
def prevent_wal_checkpoint(path: Path) -> Iterator[None]:
    """Prevent SQLite's checkpoint at the last `close`: it would lose the commits behind a bad frame of the -wal.

    SQLite needs an exclusive lock for that checkpoint; the shared lock held here denies it.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):  # missing on some platforms; there a refused open may lose the rest of a -wal
        yield
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        lock = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, SHARED_FIRST, SHARED_SIZE, 0)
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, lock)
        yield
    finally:
        os.close(handle)  # only now: closing any handle on a file releases this process's other locks on it


def sync_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)  # POSIX: a rename is durable once its folder is synced
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
