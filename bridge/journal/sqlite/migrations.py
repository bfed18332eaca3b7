"""Migrations of a journal from older schemas: forward only, in one transaction, whole or not at all."""

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bridge.journal.sqlite.errors import JournalDamaged, NoRoomToMigrate
from bridge.journal.sqlite.file import primary_code
from bridge.journal.sqlite.schema import INDEXES, SCHEMA, TABLES, require_meta_row, row_checksum

PAGE: Final = 5_000  # inputs held in memory at a time
DAMAGED: Final = -1  # no row has this checksum: a row that was damaged before the migration stays damaged

# `whole_after`: inputs with greater numbers have checksums over all their columns, those of schema 1 over three.
# A `seal` (checksum) that is NULL belongs to a row of schema 1.
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

# checksums for rows that had none in schema 2
THIRD_TABLES: Final = """
ALTER TABLE epochs ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE handled ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE suspects ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
"""


@dataclass(frozen=True, slots=True)
class MovedTable:
    """A table that schema 4 creates anew. `columns`: those of schema 3, in the new table's order.

    `keys`: columns of the new primary key, the first ones. `numbered`: the first column is the number of an input.
    """

    old: str
    new: str
    columns: str
    keys: tuple[str, ...]
    numbered: bool = False


MOVED: Final = (
    MovedTable("epochs", "epochs", "epoch, first_offset, began, reason", ("epoch",)),
    MovedTable("current", "current_events", "key, offset", ("state_key",)),
    MovedTable("commands", "commands", "user, command_id, outcome, reason, event_ids, at", ("user", "command_id")),
    MovedTable("counters", "counters", "kind, effect, reason, count", ("kind", "effect", "reason")),
    MovedTable("quarantine", "quarantine", "number, payload", ("number",), numbered=True),
    MovedTable("handled", "quarantine_decisions", "number, action, at", ("number",)),
    MovedTable("resends", "dedup_digests", "number, digest, dated, mid", ("number",), numbered=True),
    MovedTable("suspects", "crash_digests", "number, digest", ("number",)),
    MovedTable("retained", "retained_topics", "key, topic", ("state_key",)),
    MovedTable("config", "config", "topic, number, payload, received_at", ("topic",)),
    MovedTable("ages", "hourly_positions", "at, number, offset", ("hour_end",)),
)

INPUT_FIELDS: Final = (
    "number, topic, payload, received_at, retained, redelivered, effect, reason, rejected, reached_core, first_offset, "
    "event_count"
)


def migrate(connection: sqlite3.Connection, path: Path, schema: int) -> None:
    """Migrate an older journal to this version's schema, inside the caller's transaction.

    Raise `JournalDamaged` if what it goes by is damaged. Other damaged rows stay damaged: none gets a checksum that it
    matches.
    """
    for number in range(schema, SCHEMA):
        MIGRATIONS[number](connection, path)
        connection.execute(f"PRAGMA user_version={number + 1}")


@contextmanager
def require_room(connection: sqlite3.Connection, path: Path, schema: int) -> Iterator[None]:
    """Raise `NoRoomToMigrate` if the block fills the disk, and free what it took: the -wal would keep it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if schema == SCHEMA or primary_code(error) != sqlite3.SQLITE_FULL:
            raise
        with suppress(sqlite3.Error):
            if connection.in_transaction:  # SQLite may have rolled back already
                connection.execute("ROLLBACK")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raise NoRoomToMigrate(path, found=schema, known=SCHEMA) from error


def _migrate_to_2(connection: sqlite3.Connection, path: Path) -> None:
    """Add the tables and columns of retention, epochs and the quarantine tools.

    Inputs from before the migration have no hourly positions: the first row covers all of them, so they are kept longer
    than the settings say by as much as they are older, and never shorter.
    """
    for statement in SECOND_TABLES.split(";"):
        connection.execute(statement)  # not executescript, which would commit the open transaction
    *fields, _ = require_meta_row(connection.execute("SELECT * FROM meta").fetchone(), path)
    connection.execute("UPDATE meta SET seal = ?", (_repr_checksum(fields),))


def _migrate_to_3(connection: sqlite3.Connection, _path: Path) -> None:
    """Add checksums to the small tables: epochs, quarantine decisions, digests of messages that crashed the core."""
    for statement in THIRD_TABLES.split(";"):
        connection.execute(statement)
    for query, update in (
        ("SELECT epoch, first_offset, began, reason FROM epochs", "UPDATE epochs SET seal = ? WHERE epoch = ?"),
        ("SELECT number, action, at FROM handled", "UPDATE handled SET seal = ? WHERE number = ?"),
        ("SELECT number, digest FROM suspects", "UPDATE suspects SET seal = ? WHERE number = ?"),
    ):
        rows = connection.execute(query).fetchall()
        connection.executemany(update, [(_repr_checksum(row), row[0]) for row in rows])


def _migrate_to_4(connection: sqlite3.Connection, path: Path) -> None:
    """Give every row the one checksum, and tables and columns their standard names.

    Only the inputs are many and rewritten. Events and checkpoints have that checksum already.
    """
    decode_text = connection.text_factory
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")  # text may be damaged
    try:
        whole_after = _move_meta(connection, path)
        for table in MOVED:
            _move_table(connection, table, whole_after)
        for table_name in ("inputs", "events", "checkpoints"):
            connection.execute(f"ALTER TABLE {table_name} RENAME COLUMN seal TO checksum")
        connection.execute("DROP INDEX quarantined")
        _rewrite_input_checksums(connection, whole_after)
        for statement in INDEXES:
            connection.execute(statement)
    finally:
        connection.text_factory = decode_text


def _move_meta(connection: sqlite3.Connection, path: Path) -> int:
    """Create `meta` anew; return the last input of schema 1, 0 if there is none."""
    row = connection.execute(
        "SELECT one, epoch, stream, created, last_offset, last_number, latest_arrival, published, settled, "
        "oldest_offset, oldest_number, whole_after, commits, seal FROM meta"
    ).fetchone()
    *fields, checksum = require_meta_row(row, path)
    if checksum != _repr_checksum(fields):
        raise JournalDamaged(path, "its meta row does not match its checksum")
    whole_after = fields.pop(11)
    connection.execute("DROP TABLE meta")
    connection.execute(TABLES["meta"])
    marks = ", ".join("?" for _ in fields)
    connection.execute(f"INSERT INTO meta VALUES ({marks}, ?)", (*fields, row_checksum(*fields)))  # noqa: S608 - ours
    return int(whole_after)


def _move_table(connection: sqlite3.Connection, table: MovedTable, whole_after: int) -> None:
    connection.execute(f"ALTER TABLE {table.old} RENAME TO migrating")
    connection.execute(TABLES[table.new])
    connection.execute(
        f"INSERT INTO {table.new} SELECT {table.columns}, {DAMAGED} FROM migrating"  # noqa: S608 - our own names
    )
    rows = connection.execute(f"SELECT {table.columns}, seal FROM migrating")  # noqa: S608 - our own names
    keys = " AND ".join(f"{key} = ?" for key in table.keys)
    update = f"UPDATE {table.new} SET checksum = ? WHERE {keys}"  # noqa: S608 - our own names
    while page := rows.fetchmany(PAGE):
        connection.executemany(
            update,
            [
                (row_checksum(*fields), *fields[: len(table.keys)])
                for *fields, checksum in page
                if checksum == _repr_checksum(fields)
                or (checksum is None and (fields[0] if table.numbered else 1) <= whole_after and _is_encodable(fields))
            ],
        )
    connection.execute("DROP TABLE migrating")


def _is_encodable(fields: list[Any]) -> bool:
    """Return whether all text of a row was valid UTF-8: other text can be read, but not be bound to a statement."""
    try:
        for value in fields:
            if isinstance(value, str):
                value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rewrite_input_checksums(connection: sqlite3.Connection, whole_after: int) -> None:
    last = 0
    query = f"SELECT {INPUT_FIELDS}, checksum FROM inputs WHERE number > ? ORDER BY number LIMIT {PAGE}"  # noqa: S608 - ours
    while page := connection.execute(query, (last,)).fetchall():
        connection.executemany(
            "UPDATE inputs SET checksum = ? WHERE number = ?",
            [(_new_input_checksum(row, whole_after), row[0]) for row in page],
        )
        last = page[-1][0]


def _new_input_checksum(row: tuple[Any, ...], whole_after: int) -> int:
    *fields, checksum = row
    old = _repr_checksum(fields) if fields[0] > whole_after else row_checksum(*fields[:3])
    return row_checksum(*fields) if checksum == old else DAMAGED


def _repr_checksum(fields: list[Any] | tuple[Any, ...]) -> int:
    """Return the checksum that rows had in schemas 2 and 3, but for events and checkpoints."""
    return zlib.crc32(repr(tuple(fields)).encode())


MIGRATIONS: Final[Mapping[int, Callable[[sqlite3.Connection, Path], None]]] = MappingProxyType(
    {1: _migrate_to_2, 2: _migrate_to_3, 3: _migrate_to_4}
)
"""Schema number -> migration to the next one."""
