"""Rows of the journal's tables, written from records and read back into them, with a checksum each."""

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bridge.domain.event_topic import EventTopic, NotAnEventTopic, format_state_key
from bridge.domain.events import Standing
from bridge.domain.records import (
    CONFIG_PREFIX,
    DEDUP_INPUTS,
    CommandRecord,
    CommittedEvent,
    Input,
    JournalEntry,
    MessageDigest,
    count_key,
)
from bridge.domain.reports import Disposition, Effect
from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.schema import ROW_TYPES, row_checksum
from bridge.ports.journal import Batch, Checkpoint

COMMAND_MS: Final = 24 * 3_600_000  # protocol.md, «Requests»: idempotent for 24 h
QUARANTINE_INPUTS: Final = 1_000  # payloads kept for inspection: a misbehaving device can't fill the disk
QUARANTINE_BYTES: Final = 65_536  # kept of one payload
MAX_CRASH_DIGESTS: Final = 1_000  # messages that crashed the core; with more than that the messages are not the cause
EVENT_COLUMNS: Final = "offset, id, topic, standing, timestamp, audience, body, checksum"
INPUT_COLUMNS: Final = (
    "inputs.number, topic, inputs.payload, received_at, retained, redelivered, effect, reason, rejected, "
    "reached_core, first_offset, event_count, inputs.checksum, quarantine.payload, quarantine.checksum"
)


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
    writer.executemany(
        "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", [(*row, row_checksum(*row)) for row in checkpoints]
    )


def _write_inputs(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    rows: list[tuple[Any, ...]] = []
    quarantined: list[tuple[int, bytes]] = []
    for entry in entries:
        message, disposition, events = entry.input, entry.disposition, entry.events
        payload = message.payload
        if not entry.reached_core and disposition.effect is Effect.QUARANTINED:
            quarantined.append((message.number, payload[:QUARANTINE_BYTES]))
            payload = b""
        fields = (
            message.number, message.topic, payload, message.received_at, int(message.retained),
            int(message.redelivered), disposition.effect.value, disposition.reason, int(disposition.rejected),
            int(entry.reached_core), events[0].offset if events else 0, len(events),
        )  # fmt: skip
        rows.append((*fields, row_checksum(*fields)))
    writer.executemany("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    if quarantined:
        writer.executemany(
            "INSERT INTO quarantine VALUES (?, ?, ?)", [(*row, row_checksum(*row)) for row in quarantined]
        )
        writer.execute(
            "DELETE FROM quarantine WHERE number <= "
            "(SELECT number FROM quarantine ORDER BY number DESC LIMIT 1 OFFSET ?) "
            # a replay needs the bytes
            "AND number NOT IN (SELECT number FROM quarantine_decisions WHERE decision = 'asked')",
            (QUARANTINE_INPUTS,),
        )


def _write_config(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    """Keep the configuration in force beside the inputs, of which retention removes the old ones."""
    for message in (entry.input for entry in entries if entry.input.topic.startswith(CONFIG_PREFIX)):
        row = (message.topic, message.number, message.payload, message.received_at)
        writer.execute("INSERT OR REPLACE INTO config VALUES (?, ?, ?, ?, ?)", (*row, row_checksum(*row)))


def _write_counters(writer: sqlite3.Connection, entries: Sequence[JournalEntry], path: Path) -> None:
    for key, count in Counter(map(count_key, entries)).items():
        counter = writer.execute(
            "SELECT kind, effect, reason, count, checksum FROM counters WHERE (kind, effect, reason) = (?, ?, ?)", key
        ).fetchone()
        row = (*key, count + (read_counter(counter, path)[1] if counter else 0))
        writer.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?, ?)", (*row, row_checksum(*row)))


def _write_events(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    rows = []
    current: dict[str, int | None] = {}
    for event in (event for entry in entries for event in entry.events):
        audience = json.dumps(event.audience)
        fields = (event.offset, event.id, event.topic.text, event.standing.value, event.timestamp, audience, event.body)
        rows.append((*fields, row_checksum(*fields)))
        if event.standing is not Standing.HISTORY:
            current[format_state_key(event.state_key)] = event.offset if event.standing is Standing.CURRENT else None
    writer.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    for key, offset in current.items():
        if offset is None:
            writer.execute("DELETE FROM current_events WHERE state_key = ?", (key,))
        else:
            writer.execute(
                "INSERT OR REPLACE INTO current_events VALUES (?, ?, ?)",
                (key, offset, row_checksum(key, offset)),
            )


def _write_commands(writer: sqlite3.Connection, entries: Sequence[JournalEntry], latest_arrival: Millis) -> None:
    records = [entry.command for entry in entries if entry.command is not None]
    if not records:
        return
    writer.execute("DELETE FROM commands WHERE at < ?", (latest_arrival - COMMAND_MS,))
    rows = [(e.user, e.command_id, e.outcome, e.reason, json.dumps(e.event_ids), e.at) for e in records]
    writer.executemany(
        "INSERT OR IGNORE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?)",  # a repeated command keeps its first result
        [(*row, row_checksum(*row)) for row in rows],
    )


def _write_digests(writer: sqlite3.Connection, batch: Batch, last_number: int) -> None:
    digests = [
        (entry.input.number, entry.message_digest) for entry in batch.entries if entry.message_digest is not None
    ]
    rows = [(number, digest.digest, int(digest.has_timestamp), digest.packet_id) for number, digest in digests]
    if rows:
        writer.executemany(
            "INSERT INTO dedup_digests VALUES (?, ?, ?, ?, ?)", [(*row, row_checksum(*row)) for row in rows]
        )
        writer.execute("DELETE FROM dedup_digests WHERE number <= ?", (last_number - DEDUP_INPUTS,))
    if batch.crash_digest is not None:
        (number,) = writer.execute("SELECT coalesce(max(number), 0) + 1 FROM crash_digests").fetchone()
        row = (number, batch.crash_digest)
        writer.execute("INSERT OR IGNORE INTO crash_digests VALUES (?, ?, ?)", (*row, row_checksum(*row)))
        writer.execute(
            "DELETE FROM crash_digests WHERE number <= (SELECT max(number) FROM crash_digests) - ?",
            (MAX_CRASH_DIGESTS,),
        )


def read_event(row: tuple[Any, ...], path: Path) -> CommittedEvent:
    *fields, checksum = row
    require_checksum(path, "events", f"event {row[0]}", fields, checksum)
    offset, event_id, topic, standing, timestamp, audience, body = fields
    return CommittedEvent(
        offset=offset,
        id=event_id,
        topic=EventTopic.parse(topic),
        standing=Standing(standing),
        timestamp=timestamp,
        audience=tuple(json.loads(audience)),
        body=body,
    )


def read_current_offset(row: tuple[Any, ...], path: Path) -> tuple[str, int]:
    """Return a state key, and the offset of its current event."""
    key, offset, checksum = row
    require_checksum(path, "current_events", f"what is current of {key}", (key, offset), checksum)
    return key, offset


def read_current(reader: sqlite3.Connection, path: Path) -> tuple[CommittedEvent, ...]:
    """Return the current events, oldest first, each checked against the key that it is current for."""
    keys = {}
    for row in reader.execute("SELECT state_key, offset, checksum FROM current_events"):
        key, offset = read_current_offset(row, path)
        keys[offset] = key
    rows = reader.execute(
        # our own constant
        f"SELECT {EVENT_COLUMNS} FROM events WHERE offset IN (SELECT offset FROM current_events) ORDER BY offset"  # noqa: S608
    )
    events = tuple(read_event(row, path) for row in rows)
    if {event.offset: format_state_key(event.state_key) for event in events} != keys:
        raise JournalDamaged(path, "what is current does not agree with the events")
    return events


def read_checkpoint(row: tuple[Any, ...], path: Path) -> Checkpoint:
    line, number, state, checksum = row
    require_checksum(path, "checkpoints", f"the checkpoint of line {line}", (line, number, state), checksum)
    return Checkpoint(line, number, state)


def read_retained_topic(row: tuple[Any, ...], path: Path) -> EventTopic:
    """Return a topic on which the broker retains an event; raise JournalDamaged if it is not that of its key."""
    key, text, checksum = row
    require_checksum(path, "retained_topics", f"what is retained for {key}", (key, text), checksum)
    with contextlib.suppress(NotAnEventTopic):
        topic = EventTopic.parse(text)
        if format_state_key(topic.state_key) == key:
            return topic
    raise JournalDamaged(path, f"{text} is noted as retained for {key}")


def read_hourly_position(row: tuple[Any, ...], path: Path) -> tuple[int, int, int]:
    """Return the end of an hour, and the last input and the last event committed in it."""
    hour_end, number, offset, checksum = row
    require_checksum(path, "hourly_positions", f"the position of hour {hour_end}", (hour_end, number, offset), checksum)
    return hour_end, number, offset


def read_input(row: tuple[Any, ...], path: Path) -> Input:
    number, topic, payload, received_at, retained, redelivered = row[:6]
    require_checksum(path, "inputs", f"input {number}", row[:12], row[12])
    kept, kept_checksum = row[13:]
    if kept is not None:
        payload = kept
        require_checksum(
            path, "quarantine", f"the quarantined payload of input {number}", (number, kept), kept_checksum
        )
    return Input(
        number=number,
        topic=topic,
        payload=payload,
        received_at=received_at,
        retained=bool(retained),
        redelivered=bool(redelivered),
    )


def read_applied(
    row: tuple[Any, ...], events: Mapping[int, CommittedEvent], path: Path, *, oldest_offset: int
) -> JournalEntry:
    """Return the journal entry of an input; events that retention has removed are left out."""
    message = read_input(row, path)
    effect, reason, rejected, reached_core, first, count = row[6:12]
    offsets = range(max(first, oldest_offset), first + count)
    if any(offset not in events for offset in offsets):
        raise JournalDamaged(path, f"an event of input {message.number} is missing")
    return JournalEntry(
        input=message,
        disposition=Disposition(Effect(effect), reason, bool(rejected)),
        events=tuple(events[offset] for offset in offsets),
        reached_core=bool(reached_core),
    )


def read_config(row: tuple[Any, ...], path: Path) -> Input:
    topic, number, payload, received_at, checksum = row
    require_checksum(path, "config", f"the configuration {topic}", (topic, number, payload, received_at), checksum)
    return Input(number=number, topic=topic, payload=payload, received_at=received_at)


def read_counter(row: tuple[Any, ...], path: Path) -> tuple[tuple[str, str, str], int]:
    kind, effect, reason, count, checksum = row
    require_checksum(path, "counters", f"the count of {kind}/{effect}", (kind, effect, reason, count), checksum)
    return (kind, effect, reason), count


def read_digest(row: tuple[Any, ...], path: Path) -> tuple[int, MessageDigest]:
    number, digest, has_timestamp, packet_id, checksum = row
    require_checksum(
        path, "dedup_digests", f"the digest of input {number}", (number, digest, has_timestamp, packet_id), checksum
    )
    return number, MessageDigest(digest, bool(has_timestamp), packet_id)


def read_crash_digest(row: tuple[Any, ...], path: Path) -> bytes:
    """Return the digest of a message that crashed the core."""
    number, digest, checksum = row
    require_checksum(path, "crash_digests", f"crashing message {number}", (number, digest), checksum)
    return bytes(digest)


def read_command(row: tuple[Any, ...], path: Path) -> CommandRecord:
    user, command_id, outcome, reason, event_ids, at, checksum = row
    require_checksum(path, "commands", f"command {command_id}", row[:6], checksum)
    return CommandRecord(
        user=user,
        command_id=command_id,
        outcome=outcome,
        reason=reason,
        event_ids=tuple(json.loads(event_ids)),
        at=at,
    )


def require_checksum(path: Path, table: str, what: str, fields: Sequence[Any], checksum: int) -> None:
    """Raise `JournalDamaged` if a row of `table` does not match its checksum, or a column is of another type.

    A flipped bit may turn text into a blob of the same bytes.
    """
    if tuple(map(type, fields)) not in ROW_TYPES[table] or row_checksum(*fields) != checksum:
        raise JournalDamaged(path, f"{what} does not match its checksum")
