"""The `meta` row: identity and ends of a journal; every transaction of the owner rewrites it."""

import sqlite3
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from bridge.domain.events import Millis
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.schema import row_checksum


@dataclass(frozen=True, slots=True)
class Meta:
    """The `meta` row. Offsets and numbers count from 1; `oldest_…` is `last_…` + 1 if none is held from there on."""

    one: int
    epoch: str
    stream: str
    created: Millis
    last_offset: int
    last_number: int
    latest_arrival: Millis
    published: int
    settled: int
    oldest_offset: int
    oldest_number: int
    whole_after: int  # inputs with greater numbers have checksums over all their columns
    commits: int


COLUMNS: Final = ", ".join(each.name for each in fields(Meta))


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    row = connection.execute(f"SELECT {COLUMNS}, seal FROM meta").fetchone()  # noqa: S608 - our own constant
    if row is None or row_checksum(*row[:-1]) != row[-1]:
        raise JournalDamaged(path, "where it begins and ends does not match its seal")
    return Meta(*row[:-1])


def write_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    values = astuple(meta)
    marks = ", ".join("?" for _ in values)
    connection.execute(
        f"INSERT OR REPLACE INTO meta ({COLUMNS}, seal) VALUES ({marks}, ?)",  # noqa: S608 - our own constant
        (*values, row_checksum(*values)),
    )
