"""Statistics of a journal: contents, sizes, time ranges, and whether its input counts add up."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.domain.reports import Effect
from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.quarantine_decisions import check_decisions
from bridge.journal.sqlite.retention import PruneLimit, find_prune_limit, measure_used_bytes
from bridge.journal.sqlite.rows import read_counter
from bridge.journal.tools.quarantine_reader import QUARANTINED_INPUTS, QuarantineState
from bridge.journal.tools.read_only import (
    JournalSummary,
    open_read_only,
    read_summary,
    sidecar_path,
    translate_read_errors,
)
from bridge.ports.journal import RetentionLimits

SIZED_BYTES: Final = 256 * 1024 * 1024  # up to here table sizes are measured by default: they cost a read of every page
ARRIVAL_QUERY: Final = "SELECT received_at FROM inputs WHERE number = ?"
SIZES: Final = """
SELECT coalesce(made.tbl_name, dbstat.name), sum(pgsize)
FROM dbstat LEFT JOIN sqlite_schema AS made ON made.name = dbstat.name
WHERE aggregate = TRUE GROUP BY 1 ORDER BY 2 DESC
"""


@dataclass(frozen=True, slots=True)
class HeldRange:
    """A range of keys without holes, with the times of its ends; empty if `last` is before `first`."""

    first: int
    last: int
    since: Millis | None
    until: Millis | None

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCounts:
    """The counts of promise P6 for one kind; suppressed and quarantined by reason."""

    applied: int
    suppressed: Mapping[str, int]
    quarantined: Mapping[str, int]

    @property
    def received(self) -> int:
        return self.applied + sum(self.suppressed.values()) + sum(self.quarantined.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStats:
    """Statistics of one moment. Sizes in bytes."""

    path: Path
    summary: JournalSummary
    files: Mapping[str, int]  # by suffix: empty for the file itself, `-wal`, `-shm`
    parts: Mapping[str, int]  # by table, its indexes included; empty if not measured
    used: int  # pages that are not free, the -wal's included
    events: HeldRange
    inputs: HeldRange
    current: int
    older_current: int  # held although retention has passed them
    dedup_digests: int
    checkpoints: int
    checkpoint_number: int  # the input after which the newest round was taken
    checkpoint_arrival: Millis | None
    input_counts: Mapping[str, InputCounts]
    quarantine: Mapping[QuarantineState, int]
    quarantine_bytes: int
    prunable: PruneLimit | None  # what retention would remove now; None if the settings are unknown

    @property
    def unaccounted(self) -> int:
        """Inputs that were numbered but not counted, or counted but never numbered: 0, or something is wrong."""
        return self.summary.meta.last_number - sum(counts.received for counts in self.input_counts.values())


def read_stats(path: Path, *, keep: RetentionLimits | None = None, sizes: bool = False) -> JournalStats:
    """Return a journal's statistics, whether or not a process owns it; raise `NoJournal` or another `JournalError`.

    `sizes`: include table sizes however large the file is.
    """
    with closing(open_read_only(path)) as connection:
        read_summary(connection, path)  # raises the exact error if the journal cannot be read
        with translate_read_errors(path):
            connection.execute("BEGIN")
            return _stats(connection, path, read_summary(connection, path), keep, sizes=sizes)


def _stats(
    connection: sqlite3.Connection, path: Path, summary: JournalSummary, keep: RetentionLimits | None, *, sizes: bool
) -> JournalStats:
    meta = summary.meta
    lines, newest = connection.execute("SELECT count(*), coalesce(max(number), 0) FROM checkpoints").fetchone()
    older, current = connection.execute(
        "SELECT count(*) FILTER (WHERE offset < ?), count(*) FROM current_events", (meta.oldest_offset,)
    ).fetchone()
    files = {part: sidecar_path(path, part) for part in ("", "-wal", "-shm")}
    sizes_of = {part: file.stat().st_size for part, file in files.items() if file.exists()}
    return JournalStats(
        path=path,
        summary=summary,
        files=sizes_of,
        parts=_parts(connection) if sizes or sizes_of[""] <= SIZED_BYTES else {},
        used=measure_used_bytes(connection),
        events=HeldRange(
            meta.oldest_offset,
            meta.last_offset,
            _one(connection, "SELECT timestamp FROM events WHERE offset = ?", meta.oldest_offset),
            _one(connection, "SELECT timestamp FROM events WHERE offset = ?", meta.last_offset),
        ),
        inputs=HeldRange(
            meta.oldest_number,
            meta.last_number,
            _one(connection, ARRIVAL_QUERY, meta.oldest_number),
            _one(connection, ARRIVAL_QUERY, meta.last_number),
        ),
        current=current,
        older_current=older,
        dedup_digests=_one(connection, "SELECT count(*) FROM dedup_digests WHERE number > ?", 0) or 0,
        checkpoints=lines,
        checkpoint_number=newest,
        checkpoint_arrival=_one(connection, ARRIVAL_QUERY, newest),
        input_counts=_input_counts(connection, path),
        quarantine=_quarantine(connection, path),
        quarantine_bytes=_one(connection, "SELECT sum(length(payload)) FROM quarantine WHERE number > ?", 0) or 0,
        prunable=None if keep is None else find_prune_limit(connection, path, meta, keep=keep, now=meta.latest_arrival),
    )


def _one(connection: sqlite3.Connection, query: str, value: int) -> int | None:
    row = connection.execute(query, (value,)).fetchone()
    return row[0] if row else None


def _parts(connection: sqlite3.Connection) -> Mapping[str, int]:
    try:
        return dict(connection.execute(SIZES).fetchall())
    except sqlite3.OperationalError:  # SQLite was built without dbstat
        return {}


def _input_counts(connection: sqlite3.Connection, path: Path) -> Mapping[str, InputCounts]:
    applied: Counter[str] = Counter()
    reasons: dict[tuple[str, str], dict[str, int]] = {}
    for row in connection.execute("SELECT kind, effect, reason, count, checksum FROM counters ORDER BY kind, reason"):
        (kind, effect, reason), count = read_counter(row, path)
        if effect == Effect.APPLIED:
            applied[kind] += count
        else:
            reasons.setdefault((kind, effect), {})[reason] = count
    return {
        kind: InputCounts(
            applied=applied[kind],
            suppressed=reasons.get((kind, Effect.SUPPRESSED), {}),
            quarantined=reasons.get((kind, Effect.QUARANTINED), {}),
        )
        for kind in sorted(applied.keys() | {kind for kind, _ in reasons})
    }


def _quarantine(connection: sqlite3.Connection, path: Path) -> Mapping[QuarantineState, int]:
    check_decisions(connection, path)
    by_state = f"SELECT state, count(*) FROM ({QUARANTINED_INPUTS}) GROUP BY state"  # noqa: S608 - our own constant
    return dict(connection.execute(by_state).fetchall())
