"""Small events and inputs for journals under test, and the child process that commits until it is killed."""

import gzip
import sqlite3
import sys
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.domain.envelope import position_event
from bridge.domain.event_data import Changeover
from bridge.domain.events import Event, EventType, Priority, Standing
from bridge.domain.line.line import Line
from bridge.domain.place import Place
from bridge.domain.plant import Plant
from bridge.domain.records import CommandRecord, CommittedEvent, Input, JournalEntry, MessageDigest
from bridge.domain.reports import APPLIED, CountsReport, Disposition, Report
from bridge.domain.utc_time import Millis, rfc3339
from bridge.journal.sqlite import file
from bridge.journal.sqlite.lock_file import CommitMarker, JournalLock
from bridge.journal.sqlite.schema import read_meta, row_checksum, write_meta
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch, CommitFailed, Journal, RetentionLimits

JOURNALS = Path(__file__).parent / "journals"
NOON = 1_767_700_800_000


def event(
    subject: str = "c1",
    *,
    standing: Standing = Standing.CURRENT,
    revision: int = 1,
    event_type: EventType = EventType.CHANGEOVER_STARTED,
    at: Millis = NOON,
) -> Event:
    """Return a small event; two subjects are two state keys."""
    return Event(
        type=event_type,
        place=Place("plant", "packing", "bagger-1"),
        subject=subject,
        priority=Priority.MEDIUM,
        revision=revision,
        timestamp=at,
        data=Changeover(changeover_id=subject, to_product="p", started_at=rfc3339(at), signalled_at=rfc3339(at)),
        standing=standing,
    )


def applied(
    number: int,
    events: Sequence[CommittedEvent] = (),
    *,
    topic: str = "report/plant/packing/bagger-1/plc/changeover",
    payload: bytes = b"{}",
    disposition: Disposition = APPLIED,
    command: CommandRecord | None = None,
    resend: MessageDigest | None = None,
    reached_core: bool = True,
) -> JournalEntry:
    return JournalEntry(
        input=Input(number=number, topic=topic, payload=payload, received_at=NOON + number),
        disposition=disposition,
        events=tuple(events),
        command=command,
        message_digest=resend,
        reached_core=reached_core,
    )


def follow(journal: Journal, *inputs: Sequence[Event]) -> Batch:
    """Return the batch that comes next in a journal: one input for each sequence of events."""
    number, _ = journal.last_input()
    offset = journal.position().offset
    entries = []
    for events in inputs:
        number += 1
        positioned = []
        for committed in events:
            offset += 1
            positioned.append(position_event(committed, stream=journal.stream, epoch=journal.epoch, offset=offset))
        entries.append(applied(number, positioned))
    return Batch(entries=entries)


def journal_of_counts(path: Path, plant_file: Plant, equipment: str, totals: Sequence[int]) -> None:
    """Make a journal that ends with the checkpoint of a line whose machine showed these totals, 10 s apart."""
    spec = next(candidate for candidate in plant_file.lines if candidate.find_equipment(equipment))
    line = Line(plant_file, spec)
    for index, total in enumerate(totals):
        at = NOON + index * 10_000
        place = plant_file.place_of(spec).with_equipment(equipment)
        report = Report(place=place, body=CountsReport(total=total), received_at=at, cause=f"input:{index}")
        line.apply(report, at)
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(Batch(entries=[], checkpoints={spec.id: line.checkpoint()}))
    journal.close()


def forge_meta(path: Path, **changes: Any) -> None:
    """Change begin, end or position in a journal's meta row, with its checksum."""
    with closing(sqlite3.connect(path)) as connection, connection:
        write_meta(connection, replace(read_meta(connection, path), **changes))


def forge_payload(path: Path, number: int, payload: bytes) -> None:
    """Put another payload in an input's place, with the checksum that belongs to it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE inputs SET payload = ? WHERE number = ?", (payload, number))
        *row, _ = connection.execute("SELECT * FROM inputs WHERE number = ?", (number,)).fetchone()
        connection.execute("UPDATE inputs SET checksum = ? WHERE number = ?", (row_checksum(*row), number))


def make_older_journal(path: Path, sample: str) -> None:
    """Make a journal of an older schema from a sample in `journals/`, with its owner's marker from schema 2 on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = JOURNALS / sample
    script = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(script)
        if connection.execute("PRAGMA user_version").fetchone() == (1,):
            return
        marker = CommitMarker(*connection.execute("SELECT epoch, commits FROM meta").fetchone())
    with closing(JournalLock.acquire(path)) as ownership:
        ownership.force_marker(marker)


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Read a journal that may be in use."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def change(path: Path, statement: str, *values: object) -> None:
    """Change a journal that may be in use, behind the back of its owner."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def forget_checkpoints(path: Path) -> None:
    """Make a replay begin with the first input."""
    change(path, "DELETE FROM checkpoints")


def open_connected(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SqliteJournal, sqlite3.Connection]:
    """Open a journal; return it with the connection by which it writes, for the pragmas of a single connection."""
    connections: list[sqlite3.Connection] = []

    def connect(path: Path, *, writer: bool) -> sqlite3.Connection:
        connection = inner(path, writer=writer)
        connections.extend([connection] if writer else [])
        return connection

    inner = file.connect
    with monkeypatch.context() as patch:
        patch.setattr(file, "connect", connect)
        journal = SqliteJournal.open(path, stream="main")
    return journal, connections[-1]


def make_schema_1(path: Path) -> None:
    """Make a journal as version 0.1.0 left it."""
    make_older_journal(path, "schema_1.sql")


def make_schema_2(path: Path) -> None:
    make_older_journal(path, "schema_2.sql")


def repr_checksum(*fields: str | bytes | int | None) -> int:
    """Return a row's checksum as schemas 2 and 3 had it."""
    return zlib.crc32(repr(fields).encode())


def commit_until_killed(path: Path) -> None:
    """Commit batch after batch; print the durable offset after each commit."""
    journal = SqliteJournal.open(path, stream="main")
    while True:
        batch = follow(journal, [event("a"), event("b")], [], [event("a", standing=Standing.CLOSED)])
        journal.commit(batch)
        sys.stdout.write(f"{batch.entries[-1].events[-1].offset}\n")
        sys.stdout.flush()


def prune_until_killed(path: Path) -> None:
    """Do all that an owner does, with the shortest retention; print the durable offset."""
    journal = SqliteJournal.open(path, stream="main")
    while True:
        batch = follow(journal, [event("a"), event("b")], [event("c", standing=Standing.HISTORY)])
        journal.commit(replace(batch, checkpoints={"bagger-1": b"state"}))
        offset = batch.entries[-1].events[-1].offset
        journal.mark_published(offset, retained=[])
        journal.prune(NOON, RetentionLimits(max_bytes=1))
        if offset % 4 == 0:
            journal.commit(
                Batch(entries=[], retired_keys=[committed.state_key for committed in journal.snapshot().events])
            )
        sys.stdout.write(f"{offset}\n")
        sys.stdout.flush()


def break_disk(journal: SqliteJournal, *, broken: bool = True) -> None:
    """Let every commit fail, as on a file system that remounts itself read-only after an error."""

    def fail(_: Batch) -> None:
        raise CommitFailed("attempt to write a readonly database")

    if broken:
        journal.commit = fail  # type: ignore[assignment, method-assign]
    else:
        del journal.commit


if __name__ == "__main__":
    work = prune_until_killed if sys.argv[2:] == ["prune"] else commit_until_killed
    work(Path(sys.argv[1]))
