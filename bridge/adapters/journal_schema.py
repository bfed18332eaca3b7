"""The journal's file: how it is made, owned, opened, and refused when it isn't what it should be."""

import fcntl
import os
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final

from bridge.core.records import JournalError

SCHEMA: Final = 1
APPLICATION_ID: Final = 0x464C4F52  # "FLOR" in the file's header: another program's database is not a damaged journal
BUSY_SECONDS: Final = 5.0  # somebody else's shell on the file may hold a lock this long before we say so

TABLES: Final = """
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,
    stream TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_offset INTEGER NOT NULL DEFAULT 0,
    last_number INTEGER NOT NULL DEFAULT 0,
    latest_arrival INTEGER NOT NULL DEFAULT 0,
    published INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE inputs (
    number INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    retained INTEGER NOT NULL,
    redelivered INTEGER NOT NULL,
    effect TEXT NOT NULL,
    reason TEXT,
    rejected INTEGER NOT NULL,
    reached_core INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    seal INTEGER NOT NULL
) STRICT;
CREATE TABLE events (
    offset INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    standing TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    audience TEXT NOT NULL,
    body BLOB NOT NULL,
    seal INTEGER NOT NULL
) STRICT;
CREATE TABLE current (key TEXT PRIMARY KEY, offset INTEGER NOT NULL REFERENCES events) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    line TEXT PRIMARY KEY, number INTEGER NOT NULL, state BLOB NOT NULL, seal INTEGER NOT NULL
) STRICT;
CREATE TABLE commands (
    user TEXT NOT NULL,
    command_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    event_ids TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (user, command_id)
) STRICT;
CREATE INDEX commands_by_age ON commands (at);
CREATE TABLE counters (
    kind TEXT NOT NULL, effect TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (kind, effect, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (number INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
CREATE TABLE resends (number INTEGER PRIMARY KEY, digest BLOB NOT NULL, dated INTEGER NOT NULL) STRICT;
CREATE TABLE suspects (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE retained (key TEXT PRIMARY KEY, topic TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = MappingProxyType({})
"""Schema number -> the step to the next one, inside its own transaction; forward only."""


class JournalDamaged(JournalError):
    """The file is not whole. It is never repaired or begun anew by itself: that would lose events without a word."""

    def __init__(self, path: Path, finding: str) -> None:
        super().__init__(
            f"{path}: the journal is damaged ({finding}). Nothing was changed. Keep the file with its -wal and -shm, "
            "then restore a backup; or move all three away to begin anew, with a new epoch and without history"
        )
        self.path = path
        self.finding = finding


class JournalTooNew(JournalError):
    def __init__(self, path: Path, found: int) -> None:
        super().__init__(
            f"{path}: schema {found} is newer than {SCHEMA}, which this version knows; run the newer version"
        )
        self.path = path
        self.found = found
        self.known = SCHEMA


class JournalInUse(JournalError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: another process has this journal; one stream has one owner")
        self.path = path


class StreamMismatch(JournalError):
    def __init__(self, path: Path, *, expected: str, found: str) -> None:
        super().__init__(f"{path}: holds stream {found!r}, the settings say {expected!r}")
        self.path = path
        self.expected = expected
        self.found = found


def seal(*parts: str | bytes | int) -> int:
    """Return a checksum of a row: SQLite has none of its own, and a flipped bit must not become an event."""
    value = 0
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        value = zlib.crc32(data, zlib.crc32(len(data).to_bytes(8), value))
    return value


def take_lock(path: Path) -> IO[bytes]:
    """Become the journal's one owner until the returned file is closed or the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise JournalError(f"{path}: no journal can be kept there: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise JournalInUse(path) from None
    return lock


def create(path: Path, *, stream: str, created: int) -> None:
    """Make an empty journal with a new epoch: complete under its name, or not there at all."""
    if path.with_name(path.name + "-wal").exists():
        raise JournalDamaged(path, "the file is missing, its -wal is still there")
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # of a start that was interrupted here
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(f"BEGIN; {TABLES} COMMIT;")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA}")
        connection.execute(
            "INSERT INTO meta (one, epoch, stream, created) VALUES (1, ?, ?, ?)",
            (secrets.token_hex(8), stream, created),
        )
    draft.rename(path)
    _sync_folder(path.parent)


def connect(path: Path, *, writer: bool) -> sqlite3.Connection:
    """Return a connection that any one thread at a time may use; only the writer's can write."""
    name = f"{path.absolute().as_uri()}?mode=rw"  # a file that has vanished must not come back empty
    connection = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    if writer:
        connection.execute("PRAGMA synchronous=FULL")  # in WAL mode a commit returns after fsync: P1 stands on it
    else:
        connection.execute("PRAGMA query_only=ON")
    return connection


def check(connection: sqlite3.Connection, path: Path, *, stream: str) -> tuple[str, int]:
    """Return (epoch, schema number) of a whole journal of this stream; raises what is wrong with it."""
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise JournalDamaged(path, "not a journal")
        schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if schema > SCHEMA:
            raise JournalTooNew(path, schema)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raise JournalDamaged(path, "not in WAL mode")
        findings = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
        if findings != ["ok"]:
            raise JournalDamaged(path, str(findings[0]).splitlines()[-1])
        epoch, found, last_offset, last_number = connection.execute(
            "SELECT epoch, stream, last_offset, last_number FROM meta"
        ).fetchone()
        newest = connection.execute(
            "SELECT (SELECT max(offset) FROM events), (SELECT max(number) FROM inputs)"
        ).fetchone()
    except TypeError as error:  # no row in meta
        raise JournalDamaged(path, str(error)) from error
    if newest[0] not in (None, last_offset) or newest[1] not in (None, last_number):
        raise JournalDamaged(path, "its tables do not end where it says it ends")
    if found != stream:
        raise StreamMismatch(path, expected=stream, found=found)
    return str(epoch), schema


def migrate(connection: sqlite3.Connection, schema: int) -> None:
    """Bring an older journal to this version's schema, a step and a transaction at a time."""
    for number in range(schema, SCHEMA):
        connection.execute("BEGIN IMMEDIATE")
        MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version={number + 1}")
        connection.execute("COMMIT")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)  # POSIX: a rename is durable once its folder is synced
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
