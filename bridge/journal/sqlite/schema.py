"""The journal's tables, the migrations between schemas, and the checksums of rows."""

import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

SCHEMA: Final = 3
MARKED_SINCE: Final = 2  # from this schema on a journal without its owner's commit marker is a copy
APPLICATION_ID: Final = 0x464C4F52  # "FLOR" in the file's header: tells a journal from another program's database

FIRST_TABLES: Final = """
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
"""Schema 1. A new journal is created from it and the migrations, so that each table is defined once."""

# `whole_after`: inputs with greater numbers have checksums over all their columns, those of schema 1 over three.
# `commits`: transactions of the owner; compared with the owner's commit marker at start.
# A `seal` that is NULL belongs to a row of schema 1.
SECOND_TABLES: Final = """
ALTER TABLE meta ADD COLUMN oldest_offset INTEGER NOT NULL DEFAULT 1;
ALTER TABLE meta ADD COLUMN oldest_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE meta ADD COLUMN whole_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE commands ADD COLUMN seal INTEGER;
ALTER TABLE counters ADD COLUMN seal INTEGER;
ALTER TABLE current ADD COLUMN seal INTEGER;
ALTER TABLE quarantine ADD COLUMN seal INTEGER;
ALTER TABLE resends ADD COLUMN mid INTEGER;
ALTER TABLE resends ADD COLUMN seal INTEGER;
ALTER TABLE retained ADD COLUMN seal INTEGER;
CREATE TABLE epochs (
    epoch TEXT PRIMARY KEY,
    first_offset INTEGER NOT NULL,
    began INTEGER NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('created', 'restored', 'plant'))
) STRICT, WITHOUT ROWID;
CREATE TABLE ages (
    at INTEGER PRIMARY KEY, number INTEGER NOT NULL, offset INTEGER NOT NULL, seal INTEGER NOT NULL
) STRICT;
CREATE TABLE handled (
    number INTEGER PRIMARY KEY,
    action TEXT NOT NULL CHECK (action IN ('asked', 'replayed', 'dropped')),
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE config (
    topic TEXT PRIMARY KEY, number INTEGER NOT NULL, payload BLOB NOT NULL, received_at INTEGER NOT NULL,
    seal INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_asked ON handled (number) WHERE action = 'asked';
CREATE INDEX quarantined ON inputs (number) WHERE effect = 'quarantined';
INSERT INTO epochs SELECT epoch, 1, created, 'created' FROM meta;
UPDATE meta SET whole_after = last_number;
"""

# checksums for rows that had none in schema 2; never NULL, so that no flipped bit passes for a row of an older version
THIRD_TABLES: Final = """
ALTER TABLE epochs ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE handled ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE suspects ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
"""


def _migrate_to_2(connection: sqlite3.Connection) -> None:
    """Add the tables and columns of retention, epochs and the quarantine tools.

    No old row but that of `meta` is read or written again: ten million events cost one scan of the inputs, for the
    index of the quarantined ones. Inputs from before the migration have no ages: the first row of `ages` covers all of
    them, so they are kept longer than the settings say by as much as they are older, and never shorter.
    """
    for statement in SECOND_TABLES.split(";"):
        connection.execute(statement)  # not executescript, which would commit the open transaction
    write_meta_checksum(connection)


def _migrate_to_3(connection: sqlite3.Connection) -> None:
    """Add checksums to the small tables: epochs, quarantine decisions, digests of messages that crashed the core."""
    for statement in THIRD_TABLES.split(";"):
        connection.execute(statement)
    for query, update in (
        ("SELECT epoch, first_offset, began, reason FROM epochs", "UPDATE epochs SET seal = ? WHERE epoch = ?"),
        ("SELECT number, action, at FROM handled", "UPDATE handled SET seal = ? WHERE number = ?"),
        ("SELECT number, digest FROM suspects", "UPDATE suspects SET seal = ? WHERE number = ?"),
    ):
        rows = connection.execute(query).fetchall()
        connection.executemany(update, [(row_checksum(*row), row[0]) for row in rows])


MIGRATIONS: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = MappingProxyType(
    {1: _migrate_to_2, 2: _migrate_to_3}
)
"""Schema number -> migration to the next one, inside a transaction; forward only."""


def migrate(connection: sqlite3.Connection, schema: int) -> None:
    """Migrate an older journal to this version's schema, inside the caller's transaction."""
    for number in range(schema, SCHEMA):
        MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version={number + 1}")


def create_tables(connection: sqlite3.Connection, *, epoch: str, stream: str) -> None:
    """Create the tables of an empty journal in an empty database."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in FIRST_TABLES.split(";"):
        connection.execute(statement)
    connection.execute("INSERT INTO meta (one, epoch, stream, created) VALUES (1, ?, ?, ?)", (epoch, stream, wall_ms()))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    migrate(connection, 1)
    connection.execute("COMMIT")


def wall_ms() -> int:
    """Return wall time in ms, for records about the file itself; events carry floor time."""
    return time.time_ns() // 1_000_000


def parts_checksum(*parts: str | bytes | int) -> int:
    """Return a checksum of a row: SQLite has none of its own, and a flipped bit must not become an event."""
    value = 0
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        value = zlib.crc32(data, zlib.crc32(len(data).to_bytes(8), value))
    return value


def row_checksum(*fields: str | bytes | int | None) -> int:
    """Return the checksum of a row's columns, each a str, an int (not a bool), bytes or None."""
    return zlib.crc32(repr(fields).encode())


def write_meta_checksum(connection: sqlite3.Connection) -> None:
    *row, _ = connection.execute("SELECT * FROM meta").fetchone()
    connection.execute("UPDATE meta SET seal = ?", (row_checksum(*row),))
