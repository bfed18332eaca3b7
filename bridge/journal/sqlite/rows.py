"""Rows of the journal's tables, each compared with its checksum, as records."""

import contextlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bridge.domain.event_topic import EventTopic, NotAnEventTopic, format_state_key
from bridge.domain.events import Standing
from bridge.domain.records import (
    CommandRecord,
    CommittedEvent,
    Input,
    JournalEntry,
    MessageDigest,
)
from bridge.domain.reports import Disposition, Effect
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.schema import ROW_TYPES, row_checksum
from bridge.ports.journal import Checkpoint

EVENT_COLUMNS: Final = "offset, id, topic, standing, timestamp, audience, body, checksum"
INPUT_COLUMNS: Final = (
    "inputs.number, topic, inputs.payload, received_at, retained, redelivered, effect, reason, rejected, "
    "reached_core, first_offset, event_count, inputs.checksum, quarantine.payload, quarantine.checksum"
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
