"""Verification of every part of a journal, also while its bridge runs.

The small tables are read in one transaction, events and inputs in pages with a transaction each: the owner can
checkpoint its -wal meanwhile, and a journal of any size needs only the memory of a page and of the current state. Rows
added after the verification began are not verified. SQLite's own check is one transaction: while it runs the -wal only
grows.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.lock_file import CommitMarker, read_marker
from bridge.journal.tools.read_only import READ_ERRORS, JournalSummary, open_read_only, read_summary
from bridge.journal.tools.row_reader import EVENT_TABLE, INPUT_TABLE, ScannedTable, scan_rows
from bridge.journal.tools.verify_sequences import EventVerifier, InputVerifier, SequenceVerifier, VerifiedPart
from bridge.journal.tools.verify_tables import (
    TABLE_CHECKS,
    check_counters,
    check_current,
    check_table,
    read_counters,
    read_current_pointers,
)

STRUCTURE_FINDINGS: Final = 100  # of SQLite's own check, which can report many thousand lines for one lost page

K = TypeVar("K")
V = TypeVar("V")
ProgressCallback = Callable[[str, int, int], None]
"""Called now and then with the part under way, the amount done and the total (0: unknown)."""


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """The result of a verification. `summary` is None if the file's identity cannot be read."""

    path: Path
    summary: JournalSummary | None
    parts: tuple[VerifiedPart, ...]

    @property
    def is_intact(self) -> bool:
        return not any(part.faults for part in self.parts)


def verify_journal(path: Path, *, progress: ProgressCallback = lambda _part, _done, _of: None) -> VerificationResult:
    """Verify all of a journal; raise `NoJournal`, `JournalTooNew` or `JournalTooOld` if it cannot be verified."""
    mark = read_marker(path)  # before the journal, which may grow meanwhile
    with closing(open_read_only(path)) as connection:
        return VerificationResult(path, *_verify(connection, path, mark, progress))


def _verify(
    connection: sqlite3.Connection, path: Path, mark: CommitMarker | None, progress: ProgressCallback
) -> tuple[JournalSummary | None, tuple[VerifiedPart, ...]]:
    identity, current, counters = VerifiedPart("identity"), VerifiedPart("current_events"), VerifiedPart("counters")
    connection.execute("BEGIN")
    try:
        facts = read_summary(connection, path)
    except JournalDamaged as damage:
        identity.add_fault(damage.finding)
        _rollback(connection)
        return None, (identity, _structure(connection, progress))
    _check_identity(identity, facts, mark)
    held = _read_or_add_fault(current, lambda: read_current_pointers(connection, path, current))
    counted = _read_or_add_fault(counters, lambda: read_counters(connection, path, counters))
    small = [check_table(connection, facts, path, table) for table in TABLE_CHECKS]
    _rollback(connection)
    events, inputs = EventVerifier(path, facts), InputVerifier(path, facts)
    _verify_sequence(connection, EVENT_TABLE, events, progress)
    _verify_sequence(connection, INPUT_TABLE, inputs, progress)
    check_current(current, held, facts, events)
    check_counters(counters, counted, facts, inputs)
    structure = _structure(connection, progress)
    return facts, (identity, structure, events.part, inputs.part, current, counters, *small)


def _rollback(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # after some errors SQLite has already rolled back
        connection.execute("ROLLBACK")


def _read_or_add_fault(part: VerifiedPart, read: Callable[[], Mapping[K, V]]) -> Mapping[K, V]:
    try:
        return read()
    except READ_ERRORS as error:
        part.add_fault(f"cannot be read: {error}")
        return {}


def _verify_sequence(
    connection: sqlite3.Connection, source: ScannedTable, walk: SequenceVerifier, progress: ProgressCallback
) -> None:
    for page in scan_rows(connection, source, 1, walk.last):
        walk.verify_page(page)
        progress(walk.part.name, walk.reached, walk.last)
    try:
        (oldest,) = connection.execute(f"SELECT {source.oldest}").fetchone()
        walk.oldest = max(walk.oldest, oldest)
    except (*READ_ERRORS, TypeError) as error:
        walk.part.add_fault(f"cannot be read: {error}")
    walk.finish()


def _structure(connection: sqlite3.Connection, progress: ProgressCallback) -> VerifiedPart:
    part = VerifiedPart("structure", "by SQLite's integrity_check")
    progress(part.name, 0, 0)
    try:
        for (finding,) in connection.execute(f"PRAGMA integrity_check({STRUCTURE_FINDINGS})"):
            for line in str(finding).splitlines():
                if line != "ok" and not line.startswith("***"):
                    part.add_fault(line)
    except READ_ERRORS as error:
        part.add_fault(str(error))
    return part


def _check_identity(part: VerifiedPart, summary: JournalSummary, marker: CommitMarker | None) -> None:
    meta = summary.meta
    part.scope = f"stream {meta.stream}, epoch {meta.epoch}, {meta.commits} commits"
    epochs = [epoch.epoch for epoch in summary.epochs]
    if not epochs or epochs[-1] != meta.epoch:
        part.add_fault(f"its epoch {meta.epoch} is not the last of its epochs, {', '.join(epochs) or 'none'}")
    if epochs and summary.epochs[0].first_offset != 1:
        part.add_fault(f"its first epoch begins at offset {summary.epochs[0].first_offset}")
    if any(epoch.first_offset > meta.last_offset + 1 for epoch in summary.epochs):
        part.add_fault(f"an epoch begins after the last offset, {meta.last_offset}")
    if not 0 <= meta.published_offset <= meta.last_offset:
        part.add_fault(f"published up to {meta.published_offset}, and the last offset is {meta.last_offset}")
    if marker is not None and (marker.epoch not in epochs or marker.commits > meta.commits):
        part.add_fault(
            f"its .lock knows of {marker.commits} commits of epoch {marker.epoch}: its -wal is lost or damaged, "
            "or another file has taken its place"
        )
