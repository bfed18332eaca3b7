"""Whether a journal is whole: every part of it is looked at, also while its bridge runs.

The small tables are read in one transaction, events and inputs in pages with a transaction each: the owner can write
its -wal back meanwhile, and a journal of any size needs the memory of a page and of what is current. What comes after
the verification began is not looked at. SQLite's own check is one transaction: while it runs the -wal only grows.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from bridge.adapters.journal.errors import JournalDamaged
from bridge.adapters.journal.facts import UNREADABLE, Facts, read_facts, reading
from bridge.adapters.journal.mark import Mark, read_mark
from bridge.adapters.journal.scan import EVENTS, INPUTS, Source, scan
from bridge.adapters.journal.tables import (
    SMALL,
    check_counters,
    check_current,
    check_small,
    read_counters,
    read_current,
)
from bridge.adapters.journal.walks import EventWalk, InputWalk, Part, Walk

STRUCTURE_FINDINGS: Final = 100  # of SQLite's own check, which can be many thousand lines for one lost page

K = TypeVar("K")
V = TypeVar("V")
Progress = Callable[[str, int, int], None]
"""Told now and then: the part under way, and how much of how much is done (of 0: not known)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found. `facts` is None where the file does not even say what it is."""

    path: Path
    facts: Facts | None
    parts: tuple[Part, ...]

    @property
    def whole(self) -> bool:
        return not any(part.faults for part in self.parts)


def verify(path: Path, *, progress: Progress = lambda _part, _done, _of: None) -> Verdict:
    """Look at all of a journal; raises `NoJournal`, `JournalTooNew`, `JournalTooOld` where there is none to look at."""
    mark = read_mark(path)  # before the journal, which may grow meanwhile
    with closing(reading(path)) as connection:
        return Verdict(path, *_verify(connection, path, mark, progress))


def _verify(
    connection: sqlite3.Connection, path: Path, mark: Mark | None, progress: Progress
) -> tuple[Facts | None, tuple[Part, ...]]:
    identity, current, counters = Part("identity"), Part("current"), Part("counters")
    connection.execute("BEGIN")
    try:
        facts = read_facts(connection, path)
    except JournalDamaged as damage:
        identity.fault(damage.finding)
        _rollback(connection)
        return None, (identity, _structure(connection, progress))
    _check_identity(identity, facts, mark)
    held = _of_table(current, lambda: read_current(connection, path, current))
    counted = _of_table(counters, lambda: read_counters(connection, path, counters))
    small = [check_small(connection, facts, path, table) for table in SMALL]
    _rollback(connection)
    events, inputs = EventWalk(path, facts), InputWalk(path, facts)
    _walk(connection, EVENTS, events, progress)
    _walk(connection, INPUTS, inputs, progress)
    check_current(current, held, facts, events)
    check_counters(counters, counted, facts, inputs)
    structure = _structure(connection, progress)
    return facts, (identity, structure, events.part, inputs.part, current, counters, *small)


def _rollback(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # after some errors SQLite has done it
        connection.execute("ROLLBACK")


def _of_table(part: Part, read: Callable[[], Mapping[K, V]]) -> Mapping[K, V]:
    try:
        return read()
    except UNREADABLE as error:
        part.fault(f"cannot be read: {error}")
        return {}


def _walk(connection: sqlite3.Connection, source: Source, walk: Walk, progress: Progress) -> None:
    for found in scan(connection, source, 1, walk.last):
        walk.take(found)
        progress(walk.part.name, walk.at, walk.last)
    try:
        (oldest,) = connection.execute(f"SELECT {source.oldest}").fetchone()
        walk.oldest = max(walk.oldest, oldest)
    except (*UNREADABLE, TypeError) as error:
        walk.part.fault(f"cannot be read: {error}")
    walk.end()


def _structure(connection: sqlite3.Connection, progress: Progress) -> Part:
    part = Part("structure", "by SQLite's integrity_check")
    progress(part.name, 0, 0)
    try:
        for (finding,) in connection.execute(f"PRAGMA integrity_check({STRUCTURE_FINDINGS})"):
            for line in str(finding).splitlines():
                if line != "ok" and not line.startswith("***"):
                    part.fault(line)
    except UNREADABLE as error:
        part.fault(str(error))
    return part


def _check_identity(part: Part, facts: Facts, mark: Mark | None) -> None:
    meta = facts.meta
    part.looked_at = f"stream {meta.stream}, epoch {meta.epoch}, {meta.commits} commits"
    known = [each.epoch for each in facts.epochs]
    if not known or known[-1] != meta.epoch:
        part.fault(f"its epoch {meta.epoch} is not the last of its epochs, {', '.join(known) or 'none'}")
    if known and facts.epochs[0].first_offset != 1:
        part.fault(f"its first epoch begins at offset {facts.epochs[0].first_offset}")
    if any(each.first_offset > meta.last_offset + 1 for each in facts.epochs):
        part.fault(f"an epoch begins after the last offset, {meta.last_offset}")
    if not 0 <= meta.published <= meta.last_offset:
        part.fault(f"published up to {meta.published}, and the last offset is {meta.last_offset}")
    if mark is not None and (mark.epoch not in known or mark.commits > meta.commits):
        part.fault(
            f"its .lock knows of {mark.commits} commits of epoch {mark.epoch}: its -wal is lost or damaged, "
            "or another file has taken its place"
        )
