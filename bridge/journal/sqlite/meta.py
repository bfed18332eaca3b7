"""The `meta` row: identity and ends of a journal; every transaction of the owner rewrites it."""

import sqlite3
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from bridge.domain.events import Millis
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.schema import ROW_TYPES, row_checksum


@dataclass(frozen=True, slots=True)
class Meta:
    """The `meta` row. Offsets and numbers count from 1; `oldest_…` is `last_…` + 1 if none is held from there on."""

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


COLUMNS: Final = ", ".join(field.name for field in fields(Meta))


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    row = connection.execute(f"SELECT {COLUMNS}, checksum FROM meta").fetchone()  # noqa: S608 - our own constant
    if row is None or tuple(map(type, row[:-1])) not in ROW_TYPES["meta"] or row_checksum(*row[:-1]) != row[-1]:
        raise JournalDamaged(path, "its meta row does not match its checksum")
    return Meta(*row[:-1])


def write_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    values = astuple(meta)
    marks = ", ".join("?" for _ in values)
    connection.execute(
        f"INSERT OR REPLACE INTO meta ({COLUMNS}, checksum) VALUES ({marks}, ?)",  # noqa: S608 - our own constant
        (*values, row_checksum(*values)),
    )
