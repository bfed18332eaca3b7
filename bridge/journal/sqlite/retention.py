"""Retention of a journal: removal by age and by size, separately for events and inputs, a chunk at a time.

Never removed: current events, unpublished events, what a restart replays, and what the quarantine holds within its own
bound. SQLite reuses freed pages, so a journal at its bound keeps its file size.
"""

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.rows import read_hourly_position
from bridge.journal.sqlite.schema import Meta
from bridge.ports.journal import RetentionLimits

PRUNE_CHUNK: Final = 2_500  # events and inputs each, removed in one transaction: a commit may wait 20 ms for it
NEVER: Final = 2**63 - 1  # later than any time

HELD_EVENTS: Final = "SELECT offset FROM current_events WHERE offset <= ?"
HELD_INPUTS: Final = (
    "SELECT number FROM quarantine UNION SELECT number FROM quarantine_decisions WHERE decision = 'asked'"
)


@dataclass(frozen=True, slots=True)
class PruneLimit:
    """Events up to `offset` and inputs up to `number`."""

    offset: int
    number: int


def prune(writer: sqlite3.Connection, path: Path, meta: Meta, keep: RetentionLimits, now: Millis) -> Meta | None:
    """Remove a chunk of what may go, inside the caller's transaction; return the meta after it.

    Return None and change nothing if nothing may go.
    """
    may_go = find_prune_limit(writer, path, meta, keep=keep, now=now)
    offset = min(may_go.offset, meta.oldest_offset - 1 + PRUNE_CHUNK)
    number = min(may_go.number, meta.oldest_number - 1 + PRUNE_CHUNK)
    if offset < meta.oldest_offset and number < meta.oldest_number:
        return None
    # from the first row on: one that was held when its neighbours were removed may be free now
    if offset >= meta.oldest_offset:
        statement = f"DELETE FROM events WHERE offset <= ? AND offset NOT IN ({HELD_EVENTS})"  # noqa: S608 - ours
        writer.execute(statement, (offset, offset))
        meta = replace(meta, oldest_offset=offset + 1)
    if number >= meta.oldest_number:
        statement = f"DELETE FROM inputs WHERE number <= ? AND number NOT IN ({HELD_INPUTS})"  # noqa: S608 - ours
        writer.execute(statement, (number,))
        writer.execute(
            "DELETE FROM quarantine_decisions "
            "WHERE number <= ? AND number NOT IN (SELECT number FROM inputs WHERE number <= ?)",
            (number, number),
        )
        meta = replace(meta, oldest_number=number + 1)
    writer.execute(
        "DELETE FROM hourly_positions WHERE offset < ? AND number < ?", (meta.oldest_offset, meta.oldest_number)
    )
    return meta


def find_prune_limit(
    connection: sqlite3.Connection, path: Path, meta: Meta, *, keep: RetentionLimits, now: Millis
) -> PruneLimit:
    """Return how far events and inputs may be removed now; over the size limit, an hour at a time."""
    free = _find_unneeded(connection, meta)
    due = _find_expired(connection, path, meta, free=free, keep=keep, now=now)
    return PruneLimit(min(due.offset, free.offset), min(due.number, free.number))


def measure_used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages in use; free pages do not count."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def _find_unneeded(writer: sqlite3.Connection, meta: Meta) -> PruneLimit:
    """Return how far nothing is needed any more: published, and before what a restart replays.

    A restart replays from the newest round of checkpoints; an idle line's older checkpoint counts as part of it.
    """
    (number,) = writer.execute("SELECT coalesce(max(number), 0) FROM checkpoints").fetchone()
    needed = writer.execute(
        "SELECT first_offset FROM inputs WHERE number > ? AND event_count > 0 ORDER BY number LIMIT 1", (number,)
    ).fetchone()
    return PruneLimit(min(meta.published_offset, needed[0] - 1 if needed else meta.last_offset), number)


def _find_expired(
    writer: sqlite3.Connection, path: Path, meta: Meta, *, free: PruneLimit, keep: RetentionLimits, now: Millis
) -> PruneLimit:
    """Return how far retention by age reaches; over the size limit the older of both goes too, an hour at a time."""
    offset = number = 0
    if keep.events_ms is not None:
        offset = _find_older_than(writer, path, now - keep.events_ms).offset
    if keep.inputs_ms is not None:
        number = _find_older_than(writer, path, now - keep.inputs_ms).number
    if keep.max_bytes is not None and measure_used_bytes(writer) > keep.max_bytes:
        ends, last_offset = _find_oldest_hour(writer, "offset", meta.oldest_offset, meta.last_offset)
        inputs_end, last_number = _find_oldest_hour(writer, "number", meta.oldest_number, meta.last_number)
        if ends <= inputs_end or free.number < meta.oldest_number:
            offset = max(offset, last_offset)
        if inputs_end <= ends or free.offset < meta.oldest_offset:
            number = max(number, last_number)
    return PruneLimit(offset, number)


def _find_older_than(writer: sqlite3.Connection, path: Path, before: Millis) -> PruneLimit:
    row = writer.execute(
        "SELECT hour_end, number, offset, checksum FROM hourly_positions "
        "WHERE hour_end <= ? ORDER BY hour_end DESC LIMIT 1",
        (before,),
    ).fetchone()
    if row is None:
        return PruneLimit(0, 0)
    _, number, offset = read_hourly_position(row, path)
    return PruneLimit(offset, number)


def _find_oldest_hour(writer: sqlite3.Connection, column: str, oldest: int, last: int) -> tuple[Millis, int]:
    """Return when the hour that holds `oldest` ended, and the last key of that hour."""
    row = writer.execute(
        f"SELECT hour_end, {column} FROM hourly_positions WHERE {column} >= ? ORDER BY hour_end LIMIT 1",  # noqa: S608 - one of our two names
        (oldest,),
    ).fetchone()
    return (row[0], row[1]) if row else (NEVER, last)
