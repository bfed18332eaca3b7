"""Batches written into the journal's tables: a row and its checksum for each record, few statements for many rows.

After each statement the writer's thread needs the interpreter's lock again, for which it waits beside a busy event
loop. With a statement for each row a commit would take ten times as long there.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from bridge.domain.event_topic import format_state_key
from bridge.domain.events import Standing
from bridge.domain.records import CONFIG_PREFIX, DEDUP_INPUTS, JournalEntry, count_key
from bridge.domain.reports import Effect
from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.rows import read_counter
from bridge.journal.sqlite.schema import row_checksum
from bridge.ports.journal import Batch

COMMAND_MS: Final = 24 * 3_600_000  # protocol.md, «Requests»: idempotent for 24 h
QUARANTINE_INPUTS: Final = 1_000  # payloads kept for inspection: a misbehaving device can't fill the disk
QUARANTINE_BYTES: Final = 65_536  # kept of one payload
MAX_CRASH_DIGESTS: Final = 1_000  # messages that crashed the core; with more than that the messages are not the cause
MAX_ROWS: Final = 64  # of one statement; the number is a power of two, so that few statements are prepared and kept

Fields = tuple[Any, ...]
"""Of a row, without its checksum."""


def write_batch(
    writer: sqlite3.Connection, batch: Batch, path: Path, *, last_number: int, latest_arrival: Millis
) -> None:
    """Write a batch inside the caller's transaction; `last_number` and `latest_arrival` are those after it."""
    entries = batch.entries
    _write_inputs(writer, entries)
    _write_config(writer, entries)
    _write_counters(writer, entries, path)
    _write_events(writer, entries)
    _write_commands(writer, entries, latest_arrival)
    _write_digests(writer, batch, last_number)
    checkpoints = [(line, last_number, state) for line, state in batch.checkpoints.items()]
    _insert(writer, "INSERT OR REPLACE INTO checkpoints", checkpoints)


def _write_inputs(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    rows: list[Fields] = []
    quarantined: list[Fields] = []
    for entry in entries:
        message, disposition, events = entry.input, entry.disposition, entry.events
        payload = message.payload
        if not entry.reached_core and disposition.effect is Effect.QUARANTINED:
            quarantined.append((message.number, payload[:QUARANTINE_BYTES]))
            payload = b""
        row = (
            message.number, message.topic, payload, message.received_at, int(message.retained),
            int(message.redelivered), disposition.effect.value, disposition.reason, int(disposition.rejected),
            int(entry.reached_core), events[0].offset if events else 0, len(events),
        )  # fmt: skip
        rows.append(row)
    _insert(writer, "INSERT INTO inputs", rows)
    if quarantined:
        _insert(writer, "INSERT INTO quarantine", quarantined)
        writer.execute(
            "DELETE FROM quarantine WHERE number <= "
            "(SELECT number FROM quarantine ORDER BY number DESC LIMIT 1 OFFSET ?) "
            # a replay needs the bytes
            "AND number NOT IN (SELECT number FROM quarantine_decisions WHERE decision = 'asked')",
            (QUARANTINE_INPUTS,),
        )


def _write_config(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    """Keep the configuration in force beside the inputs, of which retention removes the old ones."""
    messages = (entry.input for entry in entries if entry.input.topic.startswith(CONFIG_PREFIX))
    rows = [(message.topic, message.number, message.payload, message.received_at) for message in messages]
    _insert(writer, "INSERT OR REPLACE INTO config", rows)


def _write_counters(writer: sqlite3.Connection, entries: Sequence[JournalEntry], path: Path) -> None:
    counts = Counter(map(count_key, entries))
    for key in list(counts):
        counter = writer.execute(
            "SELECT kind, effect, reason, count, checksum FROM counters WHERE (kind, effect, reason) = (?, ?, ?)", key
        ).fetchone()
        if counter is not None:
            counts[key] += read_counter(counter, path)[1]
    _insert(writer, "INSERT OR REPLACE INTO counters", [(*key, count) for key, count in counts.items()])


def _write_events(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    rows: list[Fields] = []
    current: dict[str, int | None] = {}
    for event in (event for entry in entries for event in entry.events):
        audience = json.dumps(event.audience)
        rows.append(
            (event.offset, event.id, event.topic.text, event.standing.value, event.timestamp, audience, event.body)
        )
        if event.standing is not Standing.HISTORY:
            current[format_state_key(event.state_key)] = event.offset if event.standing is Standing.CURRENT else None
    _insert(writer, "INSERT INTO events", rows)
    replace_current(writer, current)


def replace_current(writer: sqlite3.Connection, current: Mapping[str, int | None]) -> None:
    """Write the offset of what is current for each of these state keys; None: nothing is."""
    _replace(writer, "current_events", current)


def replace_retained(writer: sqlite3.Connection, retained: Mapping[str, str | None]) -> None:
    """Write the topic on which the broker retains an event for each of these state keys; None: it retains none."""
    _replace(writer, "retained_topics", retained)


def _write_commands(writer: sqlite3.Connection, entries: Sequence[JournalEntry], latest_arrival: Millis) -> None:
    records = [entry.command for entry in entries if entry.command is not None]
    if not records:
        return
    writer.execute("DELETE FROM commands WHERE at < ?", (latest_arrival - COMMAND_MS,))
    rows = [(e.user, e.command_id, e.outcome, e.reason, json.dumps(e.event_ids), e.at) for e in records]
    # a repeated command keeps its first result
    _insert(writer, "INSERT OR IGNORE INTO commands", rows)


def _write_digests(writer: sqlite3.Connection, batch: Batch, last_number: int) -> None:
    digests = [
        (entry.input.number, entry.message_digest) for entry in batch.entries if entry.message_digest is not None
    ]
    rows = [(number, digest.digest, int(digest.has_timestamp), digest.packet_id) for number, digest in digests]
    if rows:
        _insert(writer, "INSERT INTO dedup_digests", rows)
        writer.execute("DELETE FROM dedup_digests WHERE number <= ?", (last_number - DEDUP_INPUTS,))
    if batch.crash_digest is not None:
        (number,) = writer.execute("SELECT coalesce(max(number), 0) + 1 FROM crash_digests").fetchone()
        row = (number, batch.crash_digest)
        _insert(writer, "INSERT OR IGNORE INTO crash_digests", [row])
        writer.execute(
            "DELETE FROM crash_digests WHERE number <= (SELECT max(number) FROM crash_digests) - ?",
            (MAX_CRASH_DIGESTS,),
        )


def _replace(writer: sqlite3.Connection, table: str, values: Mapping[str, int | str | None]) -> None:
    """Write the value of each state key; None: delete the row of that key."""
    past = [(key,) for key, value in values.items() if value is None]
    _execute(writer, f"DELETE FROM {table} WHERE state_key IN (VALUES {{}})", past)  # noqa: S608 - our own constant
    present = [(key, value) for key, value in values.items() if value is not None]
    _insert(writer, f"INSERT OR REPLACE INTO {table}", present)


def _insert(writer: sqlite3.Connection, statement: str, rows: Iterable[Fields]) -> None:
    """Insert rows, each with its checksum."""
    _execute(writer, f"{statement} VALUES {{}}", [(*row, row_checksum(*row)) for row in rows])


def _execute(writer: sqlite3.Connection, statement: str, rows: Sequence[Fields]) -> None:
    """Execute a statement for these rows, whose values take the place of its `{}`."""
    first = 0
    while first < len(rows):
        size = min(MAX_ROWS, 1 << (len(rows) - first).bit_length() - 1)
        part = rows[first : first + size]
        writer.execute(_with_rows(statement, len(part[0]), size), [*chain.from_iterable(part)])
        first += size


@cache
def _with_rows(statement: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.format(", ".join([row] * rows))
