"""A journal as a plant of 1,000 lines leaves it after many events, made quickly.

The past is written by SQL, with bodies as long as real ones, and with checksums where a start looks at it; the last
inputs go through the core and `SqliteJournal`, so that checkpoints, current events and the tail to replay are real.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from bridge.domain.intake import Intake
from bridge.domain.line.floor import Floor
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, MeasurementLimit, Plant
from bridge.domain.records import DEDUP_INPUTS, JournalEntry
from bridge.ingest.native import decode
from bridge.journal.sqlite.schema import row_checksum
from bridge.journal.sqlite.start_checks import END_ROWS
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from tests.support.driven_intake import driven_intake, take_with_ticks
from tests.support.journal_samples import NOON, forge_meta

LINES: Final = 1_000
TAIL: Final = 1_000  # inputs after the newest checkpoint: 5 s at 200 a second
STEP_MS: Final = 5  # between two inputs
DECODE: Final = partial(decode, max_bytes=65_536)

PAST: Final = """
PRAGMA synchronous = OFF;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events})
INSERT INTO events SELECT i, printf('main:0123456789abcdef:%d', i),
    printf('S1/A1/L%d/_/production/production_update/low/_', i % 1000), 'history', {noon} + i, '[]', zeroblob(420), 0
    FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events})
INSERT INTO inputs SELECT i, printf('report/S1/A1/L%d/M1/counts', i % 1000), zeroblob(80), {noon} + i, 0, 0,
    'applied', NULL, 0, 1, i, 1, 0 FROM n;
INSERT INTO dedup_digests SELECT number, randomblob(16), 1, NULL, 0 FROM inputs ORDER BY number DESC LIMIT {resends};
UPDATE dedup_digests SET checksum = checksum(number, digest, has_timestamp, packet_id);
INSERT INTO counters VALUES ('counts', 'applied', '', {events}, checksum('counts', 'applied', '', {events}));
COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
"""


def plant(lines: int = LINES) -> Plant:
    machine = EquipmentConfig(id="M1", ideal_cycle_seconds=1.0)
    station = EquipmentConfig(id="desk", kind="station")
    limit = MeasurementLimit(parameter="weight", unit="g", upper=100.0)
    return Plant(
        name="large",
        areas=(AreaConfig(id="A1", site="S1"),),
        lines=tuple(
            LineConfig(
                id=f"L{number}",
                area="A1",
                equipment=(machine, station),
                total_from=("M1",),
                ideal_cycle_seconds=1.0,
                limits=(limit,),
            )
            for number in range(lines)
        ),
    )


def make(path: Path, *, events: int, lines: int = LINES) -> None:
    """Make a journal with so many events in its past, and close it."""
    SqliteJournal.open(path, stream="main").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("checksum", -1, row_checksum)
        connection.executescript(PAST.format(events=events, noon=NOON, resends=DEDUP_INPUTS))
        _write_end_checksums(connection, events)
    forge_meta(path, last_offset=events, last_number=events, latest_arrival=NOON + events, published_offset=events)
    _live(path, lines=lines)


def _write_end_checksums(connection: sqlite3.Connection, events: int) -> None:
    ends = (END_ROWS, events - END_ROWS)
    connection.execute(
        "UPDATE events SET checksum = checksum(offset, id, topic, standing, timestamp, audience, body)"
        " WHERE offset <= ? OR offset > ?",
        ends,
    )
    connection.execute(
        "UPDATE inputs SET checksum = checksum(number, topic, payload, received_at, retained, redelivered, effect,"
        " reason, rejected, reached_core, first_offset, event_count) WHERE number <= ? OR number > ?",
        ends,
    )


def _live(path: Path, *, lines: int) -> None:
    """Let every line report, take a round of checkpoints, and report once more."""
    journal = SqliteJournal.open(path, stream="main")
    intake = driven_intake(Floor(plant(lines)), journal, decode=DECODE)
    messages = _messages(lines)
    entries = _entries(intake, messages, count=6 * lines)
    checkpoints = {line: intake.floor.checkpoint(line) for line in intake.floor.changed_lines()}
    journal.commit(Batch(entries=entries, checkpoints=checkpoints))
    journal.mark_published(
        intake.offset, retained=[(event.state_key, event.topic) for event in journal.snapshot().events]
    )
    journal.commit(Batch(entries=_entries(intake, messages, count=TAIL)))
    journal.close()


def _messages(lines: int) -> Iterator[tuple[str, bytes]]:
    """Yield the reports of the devices of every line, line after line."""
    seq = 0
    while True:
        for number in range(lines):
            place = f"report/S1/A1/L{number}"
            yield f"{place}/M1/state", b'{"state":"running","boot_id":7,"seq":%d}' % seq
            yield f"{place}/M1/counts", b'{"total":%d,"boot_id":7,"seq":%d}' % (seq, seq + 1)
            if seq == 0:
                yield f"{place}/desk/andon", b'{"action":"raise","andon_type":"material","boot_id":7,"seq":1}'
        seq += 2


def _entries(intake: Intake, messages: Iterator[tuple[str, bytes]], *, count: int) -> list[JournalEntry]:
    entries: list[JournalEntry] = []
    for topic, payload in islice(messages, count):
        entries += take_with_ticks(intake, topic, payload, now=intake.latest_time + STEP_MS)
    return entries
