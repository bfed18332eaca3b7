"""The journal's tables, the checksum of a row, and the `meta` row, which every transaction of the owner rewrites."""

import re
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Final

from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.ports.clock import wall_ms

SCHEMA: Final = 4
MARKED_SINCE: Final = 2  # from this schema on a journal without its owner's commit marker is a copy
APPLICATION_ID: Final = 0x464C4F52  # "FLOR" in the file's header: tells a journal from another program's database

_TABLES: Final = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL,
    stream TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    last_number INTEGER NOT NULL,
    latest_arrival INTEGER NOT NULL,
    published_offset INTEGER NOT NULL,
    acked_up_to INTEGER NOT NULL,
    oldest_offset INTEGER NOT NULL,
    oldest_number INTEGER NOT NULL,
    commits INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE epochs (
    epoch TEXT PRIMARY KEY,
    first_offset INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('created', 'restored', 'plant')),
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE events (
    offset INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    standing TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    audience TEXT NOT NULL,
    body BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE current_events (
    state_key TEXT PRIMARY KEY, offset INTEGER NOT NULL REFERENCES events, checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    line TEXT PRIMARY KEY, number INTEGER NOT NULL, state BLOB NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE commands (
    user TEXT NOT NULL,
    command_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    event_ids TEXT NOT NULL,
    at INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (user, command_id)
) STRICT;
CREATE TABLE counters (
    kind TEXT NOT NULL,
    effect TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (kind, effect, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (number INTEGER PRIMARY KEY, payload BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE quarantine_decisions (
    number INTEGER PRIMARY KEY,
    decision TEXT NOT NULL CHECK (decision IN ('asked', 'replayed', 'dropped')),
    decided_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE dedup_digests (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    has_timestamp INTEGER NOT NULL,
    packet_id INTEGER,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE crash_digests (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE retained_topics (
    state_key TEXT PRIMARY KEY, topic TEXT NOT NULL, checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE config (
    topic TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    payload BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE hourly_positions (
    hour_end INTEGER PRIMARY KEY, number INTEGER NOT NULL, offset INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
"""

TABLES: Final = MappingProxyType({text.split()[2]: text.strip() for text in _TABLES.split(";") if text.strip()})
"""Table name -> its CREATE statement."""

TYPES: Final = MappingProxyType({"TEXT": str, "INTEGER": int, "BLOB": bytes})


def _row_types(statement: str) -> Iterator[tuple[type, ...]]:
    columns = re.findall(r"(\w+) (TEXT|INTEGER|BLOB)( NOT NULL| PRIMARY KEY)?", statement)
    return product(
        *(
            (TYPES[kind],) if required else (TYPES[kind], NoneType)
            for name, kind, required in columns
            if name != "checksum"
        )
    )


ROW_TYPES: Final = MappingProxyType({name: frozenset(_row_types(text)) for name, text in TABLES.items()})
"""Table name -> the types that the columns of its rows may have, without the checksum."""

INDEXES: Final = (
    "CREATE INDEX commands_by_age ON commands (at)",
    "CREATE INDEX requested_replays ON quarantine_decisions (number) WHERE decision = 'asked'",
    "CREATE INDEX quarantined ON inputs (number) WHERE effect = 'quarantined'",
)


def create_tables(connection: sqlite3.Connection, *, epoch: str, stream: str) -> None:
    """Create the tables of an empty journal in an empty database."""
    created_at = wall_ms()
    connection.execute("BEGIN IMMEDIATE")
    for statement in (*TABLES.values(), *INDEXES):
        connection.execute(statement)
    for table, row in (
        ("meta", (1, epoch, stream, created_at, 0, 0, 0, 0, 0, 1, 1, 0)),
        ("epochs", (epoch, 1, created_at, "created")),
    ):
        marks = ", ".join("?" for _ in row)
        connection.execute(f"INSERT INTO {table} VALUES ({marks}, ?)", (*row, row_checksum(*row)))  # noqa: S608 - ours
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA}")
    connection.execute("COMMIT")


NULL_LENGTH: Final = (2**64 - 1).to_bytes(8)  # no value is so long


def row_checksum(*fields: str | bytes | int | None) -> int:
    """Return the CRC-32 of a row's columns: SQLite has no checksums, and a flipped bit must not become an event.

    Of each column the length in 8 bytes, big-endian, and its bytes (text in UTF-8, integers in decimal digits); of NULL
    only the length 2^64 - 1. So no two rows of the same column types have the same encoding; the types themselves are
    not in it (`ROW_TYPES`).
    """
    encoded = bytearray()
    for value in fields:
        if value is None:
            encoded += NULL_LENGTH
        else:
            data = (
                value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
            )  # as read from damaged text
            encoded += len(data).to_bytes(8)
            encoded += data
    return zlib.crc32(encoded)


@dataclass(frozen=True, slots=True)
class Meta:
    """Identity and ends of a journal.

    Offsets and numbers count from 1; `oldest_…` is `last_…` + 1 if none is held from there on.
    """

    id: int
    epoch: str
    stream: str
    created_at: Millis
    last_offset: int
    last_number: int
    latest_arrival: Millis
    published_offset: int
    acked_up_to: int
    oldest_offset: int
    oldest_number: int
    commits: int


_META_FIELDS: Final = tuple(field.name for field in fields(Meta))
_meta_values: Final = attrgetter(*_META_FIELDS)
META_COLUMNS: Final = ", ".join(_META_FIELDS)


def require_meta_row(row: tuple[Any, ...] | None, path: Path) -> tuple[Any, ...]:
    """Return the row that was read from `meta`; raise `JournalDamaged` if the table is empty."""
    if row is None:
        raise JournalDamaged(path, "its meta row is missing")
    return row


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    found = connection.execute(f"SELECT {META_COLUMNS}, checksum FROM meta").fetchone()  # noqa: S608 - our own constant
    row = require_meta_row(found, path)
    if tuple(map(type, row[:-1])) not in ROW_TYPES["meta"] or row_checksum(*row[:-1]) != row[-1]:
        raise JournalDamaged(path, "its meta row does not match its checksum")
    return Meta(*row[:-1])


def write_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    values = _meta_values(meta)
    marks = ", ".join("?" for _ in values)
    connection.execute(
        f"INSERT OR REPLACE INTO meta ({META_COLUMNS}, checksum) VALUES ({marks}, ?)",  # noqa: S608 - our own constant
        (*values, row_checksum(*values)),
    )
