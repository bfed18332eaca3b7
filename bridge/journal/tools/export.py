"""Export of events and inputs as JSON Lines, also from a damaged journal: what can be read, and the gaps."""

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bridge.domain.utc_time import Millis, rfc3339
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.rows import INPUT_COLUMNS, read_event, read_input
from bridge.journal.tools.read_only import READ_ERRORS, open_read_only, read_checked_meta
from bridge.journal.tools.row_reader import EVENT_TABLE, INPUT_TABLE, Row, ScannedTable, UnreadableKeys, scan_rows

INPUT_COLUMNS_ALONE: Final = INPUT_COLUMNS.replace("quarantine.payload, quarantine.checksum", "NULL, NULL")
MAX_KEY: Final = 2**62  # beyond every key, for a journal whose last key is unknown


@dataclass(frozen=True, slots=True)
class ExportRange:
    """Inclusive bounds: keys (offsets of events, numbers of inputs) and times (of the event or of the arrival)."""

    first: int = 1
    last: int = MAX_KEY
    begin: Millis | None = None
    end: Millis | None = None

    def contains(self, at: Millis) -> bool:
        return (self.begin is None or at >= self.begin) and (self.end is None or at <= self.end)


@dataclass(frozen=True, slots=True)
class ExportGap:
    """Events or inputs `first` to `last` that should be there but could not be exported."""

    noun: str
    first: int
    last: int
    reason: str

    def __str__(self) -> str:
        which = f"{self.noun} {self.first}" if self.first == self.last else f"{self.noun}s {self.first} to {self.last}"
        return f"{which}: {self.reason}"


def add_gap(noted: list[ExportGap], new: ExportGap) -> None:
    """Add a gap; extend the last one if `new` follows it for the same reason."""
    if noted and (noted[-1].noun, noted[-1].last + 1, noted[-1].reason) == (new.noun, new.first, new.reason):
        noted[-1] = replace(noted[-1], last=new.last)
    else:
        noted.append(new)


def export_events(path: Path, key_range: ExportRange) -> Iterator[bytes | ExportGap]:
    """Yield every event as a line, oldest first, and a gap in place of what could not be read.

    Raise `NoJournal`, `JournalTooOld`, `JournalTooNew`, and `JournalDamaged` if nothing at all can be read.
    """
    yield from _export(path, EVENT_TABLE, "event", key_range)


def export_inputs(path: Path, key_range: ExportRange) -> Iterator[bytes | ExportGap]:
    """Yield every input as a line, as `export_events` does."""
    yield from _export(path, INPUT_TABLE, "input", key_range)


@dataclass(frozen=True, slots=True)
class _JournalEnds:
    oldest: int
    last: int


def _export(path: Path, source: ScannedTable, noun: str, key_range: ExportRange) -> Iterator[bytes | ExportGap]:
    with closing(open_read_only(path)) as connection:
        try:
            meta = read_checked_meta(connection, path)
            ends = _JournalEnds(*(
                (meta.oldest_offset, meta.last_offset)
                if source is EVENT_TABLE
                else (meta.oldest_number, meta.last_number)
            ))  # fmt: skip
        except JournalDamaged:
            source = replace(source, oldest="1")  # the beginning is unknown, so a gap looks like pruned rows
            ends = _JournalEnds(MAX_KEY, _last(connection, path, source))
        following = max(key_range.first, ends.oldest)
        last = min(key_range.last, ends.last)
        for page in _scan_or_salvage(connection, source, key_range.first, last):
            if isinstance(page, UnreadableKeys):
                yield ExportGap(noun, page.first, page.last, page.reason)
                following = page.last + 1
                continue
            for row in page:
                following = max(following, row[-1]) if following < MAX_KEY else row[0]  # retention may prune meanwhile
                if row[0] > following:
                    yield ExportGap(noun, following, row[0] - 1, "missing")
                following = max(following, row[0] + 1)
                yield from _encode_row(path, noun, row[:-1], key_range)
        if following <= last:
            yield ExportGap(noun, following, last, "missing")


def _last(connection: sqlite3.Connection, path: Path, source: ScannedTable) -> int:
    """Return the last key that is found, for a journal whose meta is damaged."""
    try:
        (last,) = connection.execute(f"SELECT max({source.key}) FROM {source.tables}").fetchone()  # noqa: S608 - ours
    except READ_ERRORS as error:
        raise JournalDamaged(path, str(error)) from error
    return last if isinstance(last, int) else 0


def _scan_or_salvage(
    connection: sqlite3.Connection, source: ScannedTable, first: int, last: int
) -> Iterator[list[Row] | UnreadableKeys]:
    """Scan the rows; read an input alone if it cannot be read together with its quarantined payload."""
    for page in scan_rows(connection, source, first, last):
        if isinstance(page, UnreadableKeys) and source.tables == INPUT_TABLE.tables:
            plain = replace(source, tables="inputs", columns=INPUT_COLUMNS_ALONE)
            yield from scan_rows(connection, plain, page.first, page.last)
        else:
            yield page


def _encode_row(path: Path, noun: str, row: Row, key_range: ExportRange) -> Iterator[bytes | ExportGap]:
    try:
        at, line = _event_line(row, path) if noun == "event" else _input_line(row, path)
    except JournalDamaged as damage:
        yield ExportGap(noun, row[0], row[0], damage.finding)
    except (ValueError, TypeError, AttributeError) as error:  # a column holds an invalid value
        yield ExportGap(noun, row[0], row[0], str(error))
    else:
        if key_range.contains(at):
            yield line


def _event_line(row: Row, path: Path) -> tuple[Millis, bytes]:
    """Return the event's time and line: the body byte for byte as published, with topic, standing and audience."""
    event = read_event(row, path)
    about = {"topic": event.topic.text, "standing": event.standing.value, "audience": list(event.audience)}
    return event.timestamp, b'{"event":' + event.body + b"," + json.dumps(about).encode()[1:]


def _input_line(row: Row, path: Path) -> tuple[Millis, bytes]:
    message = read_input(row, path)
    effect, reason, rejected, reached_core, first, count = row[6:12]
    about: dict[str, Any] = {
        "input": message.number,
        "topic": message.topic,
        "received_at": rfc3339(message.received_at),
        "retained": message.retained,
        "redelivered": message.redelivered,
        "effect": effect,
        "reason": reason,
        "rejected": bool(rejected),
        "reached_core": bool(reached_core),
        "first_offset": first if count else None,
        "event_count": count,
    }
    try:
        about["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        about["payload_base64"] = base64.b64encode(message.payload).decode()
    return message.received_at, json.dumps(about).encode()
