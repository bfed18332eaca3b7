"""The journal's file: how it is made, opened, and refused when it isn't what it should be."""

import fcntl
import os
import secrets
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from bridge.adapters.journal.errors import JournalDamaged, JournalTooNew
from bridge.adapters.journal.mark import Mark
from bridge.adapters.journal.schema import APPLICATION_ID, SCHEMA, make_tables
from bridge.core.records import JournalUnavailable

BUSY_SECONDS: Final = 5.0  # somebody else's shell on the file may hold a lock this long before we say so
SHARED_FIRST, SHARED_SIZE = 0x40000002, 510  # the bytes by which SQLite's processes lock a file (os.h)


def check_never_was(path: Path, *, mark: Mark | None) -> None:
    """Raises `JournalDamaged` where something is left of a journal at `path`: no reason to begin anew."""
    if path.with_name(path.name + "-wal").exists():
        raise JournalDamaged(path, "the file is missing, its -wal is still there")
    if mark is not None:
        raise JournalDamaged(path, f"the file is missing, its .lock knows of {mark.commits} commits")


def create(path: Path, *, stream: str, mark: Mark | None) -> None:
    """Make an empty journal with a new epoch: complete under its name, or not there at all."""
    check_never_was(path, mark=mark)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # of a start that was interrupted here
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        make_tables(connection, epoch=new_epoch(), stream=stream)
    draft.rename(path)
    sync_folder(path.parent)


def new_epoch() -> str:
    return secrets.token_hex(8)


def connect(path: Path, *, writer: bool) -> sqlite3.Connection:
    """Return a connection that any one thread at a time may use; only the writer's can write."""
    # rw: a file that has vanished must not come back empty; ro: even the last reader to leave changes nothing on disk,
    # where SQLite would fold the -wal in, and with it take away what stands behind a bad frame
    name = f"{path.absolute().as_uri()}?mode={'rw' if writer else 'ro'}"
    connection = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    try:
        if writer:
            connection.execute("PRAGMA synchronous=FULL")  # in WAL mode a commit returns after fsync: P1 stands on it
    except BaseException:  # the schema is read here: where it is damaged
        with left_alone(path), closing(connection):
            raise
    return connection


def schema_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema number of what must be a journal, of this version or an older one."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalDamaged(path, "not a journal")
    schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if schema > SCHEMA:
        raise JournalTooNew(path, found=schema, known=SCHEMA)
    if schema < 1 or connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        raise JournalDamaged(path, "not in WAL mode" if schema else "no schema number")
    return schema


PASSING: Final = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM,
})  # fmt: skip
"""What a disk, a full table of files or another process's lock does, and may stop doing."""


def may_pass(error: Exception) -> bool:
    """Tell the machine's trouble from a damaged file, in which SQLite may miss tables or read no text."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in PASSING


@contextmanager
def faults_told(path: Path) -> Iterator[None]:
    """Turn what SQLite raises in the block into `JournalUnavailable` or `JournalDamaged`."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of a message that quotes the schema
        if may_pass(error):
            raise JournalUnavailable(f"{path}: {error}") from error
        raise JournalDamaged(path, str(error)) from error


@contextmanager
def opening(path: Path, *, writer: bool) -> Iterator[sqlite3.Connection]:
    """Lend a new connection; where the block fails it is closed, the file left as it was, and SQLite's errors ours."""
    with faults_told(path):
        connection = connect(path, writer=writer)
        try:
            yield connection
        except BaseException:
            with left_alone(path), closing(connection):
                raise


@contextmanager
def left_alone(path: Path) -> Iterator[None]:
    """Keep SQLite from the checkpoint of its last `close`: what stands behind a bad frame of the -wal would be gone.

    It asks for the file alone before it does that; another holder of a shared lock denies it.
    """
    if not hasattr(fcntl, "F_OFD_SETLK"):  # not on every platform; there a refusal may cost the rest of a -wal
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
        os.close(handle)  # only now: closing any handle on a file takes back this process's other locks on it


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)  # POSIX: a rename is durable once its folder is synced
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
