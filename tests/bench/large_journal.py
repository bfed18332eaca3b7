"""A journal as a plant of many lines leaves it after many events, made quickly and intact in every row.

The past is written by SQL, with bodies as long as real ones: each input has the events of four reports, ten seconds
apart on each line. The last inputs go through the core and `SqliteJournal`, so that checkpoints, current events and the
tail to replay are real.
"""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bridge.domain.dedup import digest_message
from bridge.domain.intake import Intake
from bridge.domain.line.floor import Floor
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, MeasurementLimit, Plant
from bridge.domain.records import DEDUP_INPUTS, JournalEntry
from bridge.ingest.native import decode
from bridge.journal.sqlite.schema import Meta, read_meta, row_checksum
from bridge.journal.sqlite.writer import HOUR_MS, SqliteJournal
from bridge.ports.journal import Batch
from tests.support.driven_intake import driven_intake, take_with_ticks
from tests.support.journal_samples import NOON, forge_meta

LINES: Final = 1_000
LINES_OF_AN_AREA: Final = 20
TAIL: Final = 1_000  # inputs after the newest checkpoint: 5 s at 200 a second
STEP_MS: Final = 5  # between two inputs of the tail
EVENTS_OF_AN_INPUT: Final = 4
PAST_STEP_MS: Final = 400  # between two inputs of the past: ten million events in twelve days
BODY: Final = bytes(420)
PAYLOAD: Final = bytes(80)
DECODE: Final = partial(decode, max_bytes=65_536)


def plant(lines: int = LINES) -> Plant:
    machine = EquipmentConfig(id="M1", ideal_cycle_seconds=1.0)
    station = EquipmentConfig(id="desk", kind="station")
    limit = MeasurementLimit(parameter="weight", unit="g", upper=100.0)
    return Plant(
        name="large",
        areas=tuple(AreaConfig(id=f"A{number}", site="S1") for number in range(-(-lines // LINES_OF_AN_AREA))),
        lines=tuple(
            LineConfig(
                id=f"L{number}",
                area=f"A{number // LINES_OF_AN_AREA}",
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
    inputs = events // EVENTS_OF_AN_INPUT
    last_offset = inputs * EVENTS_OF_AN_INPUT
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        meta = read_meta(connection, path)
        connection.execute("PRAGMA journal_mode = OFF")  # a -wal would need the room a second time
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _past_events(last_offset, meta))
        connection.executemany(
            "INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _past_inputs(inputs)
        )
        connection.executemany("INSERT INTO dedup_digests VALUES (?, ?, ?, ?, ?)", map(_checked, _digests(inputs)))
        connection.executemany("INSERT INTO hourly_positions VALUES (?, ?, ?, ?)", map(_checked, _hours(inputs)))
        counts = ("counts", "applied", "", inputs)
        connection.execute("INSERT INTO counters VALUES (?, ?, ?, ?, ?)", _checked(counts))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    forge_meta(
        path,
        last_offset=last_offset,
        last_number=inputs,
        latest_arrival=_arrival(inputs),
        published_offset=last_offset,
    )
    _live(path, lines=lines)


def _checked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row, row_checksum(*row))


def _arrival(number: int) -> int:
    return NOON + number * PAST_STEP_MS


def _encode(value: bytes) -> bytes:
    """Return a column as `row_checksum` encodes it."""
    return len(value).to_bytes(8) + value


def _past_events(last: int, meta: Meta) -> Iterator[tuple[Any, ...]]:
    """Yield the rows with their checksums, for which `row_checksum` would need most of the time."""
    prefix = f"{meta.stream}:{meta.epoch}:"
    topics = [f"S1/A{line // LINES_OF_AN_AREA}/L{line}/_/production/production_update/low/_" for line in range(LINES)]
    encoded = [_encode(topic.encode()) + _encode(b"history") for topic in topics]
    end = _encode(b"[]") + _encode(BODY)
    sizes = [size.to_bytes(8) for size in range(80)]
    for offset in range(1, last + 1):
        at = _arrival((offset - 1) // EVENTS_OF_AN_INPUT + 1)
        event_id, line = f"{prefix}{offset}", offset % LINES
        key, name, time = b"%d" % offset, event_id.encode(), b"%d" % at
        data = sizes[len(key)] + key + sizes[len(name)] + name + encoded[line] + sizes[len(time)] + time + end
        row = (offset, event_id, topics[line], "history", at, "[]", BODY, zlib.crc32(data))
        assert offset % 100_000 or row[-1] == row_checksum(*row[:-1])
        yield row


def _past_inputs(last: int) -> Iterator[tuple[Any, ...]]:
    for number in range(1, last + 1):
        first = (number - 1) * EVENTS_OF_AN_INPUT + 1
        topic = _past_topic(number)
        row = (number, topic, PAYLOAD, _arrival(number), 0, 0, "applied", None, 0, 1, first, EVENTS_OF_AN_INPUT)
        yield _checked(row)


def _past_topic(number: int) -> str:
    line = number % LINES
    return f"report/S1/A{line // LINES_OF_AN_AREA}/L{line}/M1/counts"


def _digests(last: int) -> Iterator[tuple[Any, ...]]:
    for number in range(max(1, last - DEDUP_INPUTS + 1), last + 1):
        yield number, digest_message(_past_topic(number), PAYLOAD), 1, None


def _hours(last: int) -> Iterator[tuple[int, int, int]]:
    """Yield the end of each hour that ended in the past, with the last input and the last event before it."""
    for end in range((NOON // HOUR_MS + 1) * HOUR_MS, _arrival(last), HOUR_MS):
        number = (end - 1 - NOON) // PAST_STEP_MS
        yield end, number, number * EVENTS_OF_AN_INPUT


def _live(path: Path, *, lines: int) -> None:
    """Let every line report, take a round of checkpoints, and report once more."""
    journal = SqliteJournal.open(path, stream="main")
    intake = driven_intake(Floor(plant(lines)), journal, decode=DECODE)
    messages = reports(lines)
    entries = _entries(intake, messages, count=6 * lines)
    checkpoints = {line: intake.floor.checkpoint(line) for line in intake.floor.changed_lines()}
    journal.commit(Batch(entries=entries, checkpoints=checkpoints))
    journal.mark_published(
        intake.offset, retained=[(event.state_key, event.topic) for event in journal.snapshot().events]
    )
    journal.commit(Batch(entries=_entries(intake, messages, count=TAIL)))
    journal.close()


def reports(lines: int) -> Iterator[tuple[str, bytes]]:
    """Yield the reports of the devices of every line, line after line, without end."""
    seq = 0
    while True:
        for number in range(lines):
            place = f"report/S1/A{number // LINES_OF_AN_AREA}/L{number}"
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
