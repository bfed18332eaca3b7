"""Rows of the journal's tables, written from records and read back into them, with a checksum each."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bridge.domain.event_topic import EventTopic, format_state_key
from bridge.domain.events import Millis, Standing
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
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.schema import parts_checksum, row_checksum
from bridge.ports.journal import Batch

COMMAND_MS: Final = 24 * 3_600_000  # protocol.md, «Requests»: idempotent for 24 h
QUARANTINE_INPUTS: Final = 1_000  # payloads kept for inspection: a misbehaving device can't fill the disk
QUARANTINE_BYTES: Final = 65_536  # kept of one payload
MAX_CRASH_DIGESTS: Final = 1_000  # messages that crashed the core; with more than that the messages are not the cause
EVENT_COLUMNS: Final = "offset, id, topic, standing, timestamp, audience, body, seal"
INPUT_COLUMNS: Final = (
    "inputs.number, topic, inputs.payload, received_at, retained, redelivered, effect, reason, rejected, "
    "reached_core, first_offset, event_count, inputs.seal, quarantine.payload, quarantine.seal"
)


def write_inputs(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    rows: list[tuple[Any, ...]] = []
    aside: list[tuple[int, bytes]] = []
    for entry in entries:
        given, disposition, events = entry.input, entry.disposition, entry.events
        payload = given.payload
        if not entry.reached_core and disposition.effect is Effect.QUARANTINED:
            aside.append((given.number, payload[:QUARANTINE_BYTES]))
            payload = b""
        fields = (
            given.number, given.topic, payload, given.received_at, int(given.retained), int(given.redelivered),
            disposition.effect.value, disposition.reason, int(disposition.rejected), int(entry.reached_core),
            events[0].offset if events else 0, len(events),
        )  # fmt: skip
        rows.append((*fields, row_checksum(*fields)))
    writer.executemany("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    if aside:
        writer.executemany("INSERT INTO quarantine VALUES (?, ?, ?)", [(*row, row_checksum(*row)) for row in aside])
        writer.execute(
            "DELETE FROM quarantine WHERE number <= "
            "(SELECT number FROM quarantine ORDER BY number DESC LIMIT 1 OFFSET ?) "
            "AND number NOT IN (SELECT number FROM handled WHERE action = 'asked')",  # its replay needs the bytes
            (QUARANTINE_INPUTS,),
        )


def write_config(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    """Keep the configuration in force beside the inputs, of which retention removes the old ones."""
    for given in (entry.input for entry in entries if entry.input.topic.startswith(CONFIG_PREFIX)):
        row = (given.topic, given.number, given.payload, given.received_at)
        writer.execute("INSERT OR REPLACE INTO config VALUES (?, ?, ?, ?, ?)", (*row, row_checksum(*row)))


def write_counters(writer: sqlite3.Connection, entries: Sequence[JournalEntry], path: Path) -> None:
    for key, count in Counter(map(count_key, entries)).items():
        found = writer.execute(
            "SELECT kind, effect, reason, count, seal FROM counters WHERE (kind, effect, reason) = (?, ?, ?)", key
        ).fetchone()
        row = (*key, count + (read_counter(found, path)[1] if found else 0))
        writer.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?, ?)", (*row, row_checksum(*row)))


def write_events(writer: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    rows = []
    current: dict[str, int | None] = {}
    for event in (event for entry in entries for event in entry.events):
        audience = json.dumps(event.audience)
        fields = (event.offset, event.id, event.topic.text, event.standing.value, event.timestamp, audience, event.body)
        rows.append((*fields, parts_checksum(*fields)))
        if event.standing is not Standing.HISTORY:
            current[format_state_key(event.state_key)] = event.offset if event.standing is Standing.CURRENT else None
    writer.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    for key, offset in current.items():
        if offset is None:
            writer.execute("DELETE FROM current WHERE key = ?", (key,))
        else:
            writer.execute("INSERT OR REPLACE INTO current VALUES (?, ?, ?)", (key, offset, row_checksum(key, offset)))


def write_commands(writer: sqlite3.Connection, entries: Sequence[JournalEntry], latest_arrival: Millis) -> None:
    records = [entry.command for entry in entries if entry.command is not None]
    if not records:
        return
    writer.execute("DELETE FROM commands WHERE at < ?", (latest_arrival - COMMAND_MS,))
    rows = [(e.user, e.command_id, e.outcome, e.reason, json.dumps(e.event_ids), e.at) for e in records]
    writer.executemany(
        "INSERT OR IGNORE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?)",  # a repeated command keeps its first result
        [(*row, row_checksum(*row)) for row in rows],
    )


def write_digests(writer: sqlite3.Connection, batch: Batch, last_number: int) -> None:
    found = [(each.input.number, each.message_digest) for each in batch.entries if each.message_digest is not None]
    rows = [(number, resend.digest, int(resend.has_timestamp), resend.mid) for number, resend in found]
    if rows:
        writer.executemany("INSERT INTO resends VALUES (?, ?, ?, ?, ?)", [(*row, row_checksum(*row)) for row in rows])
        writer.execute("DELETE FROM resends WHERE number <= ?", (last_number - DEDUP_INPUTS,))
    if batch.crash_digest is not None:
        (number,) = writer.execute("SELECT coalesce(max(number), 0) + 1 FROM suspects").fetchone()
        row = (number, batch.crash_digest)
        writer.execute("INSERT OR IGNORE INTO suspects VALUES (?, ?, ?)", (*row, row_checksum(*row)))
        writer.execute(
            "DELETE FROM suspects WHERE number <= (SELECT max(number) FROM suspects) - ?", (MAX_CRASH_DIGESTS,)
        )


def read_event(row: tuple[Any, ...], path: Path) -> CommittedEvent:
    *fields, sealed = row
    if parts_checksum(*fields) != sealed:
        raise JournalDamaged(path, f"event {row[0]} does not match its seal")
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


def read_current(reader: sqlite3.Connection, path: Path) -> tuple[CommittedEvent, ...]:
    """Return the current events, oldest first, each checked against the key that it is current for."""
    keys = {}
    for key, offset, sealed in reader.execute("SELECT key, offset, seal FROM current"):
        require_optional_checksum(path, f"what is current of {key}", (key, offset), sealed)
        keys[offset] = key
    rows = reader.execute(
        # our own constant
        f"SELECT {EVENT_COLUMNS} FROM events WHERE offset IN (SELECT offset FROM current) ORDER BY offset"  # noqa: S608
    )
    events = tuple(read_event(row, path) for row in rows)
    if {event.offset: format_state_key(event.state_key) for event in events} != keys:
        raise JournalDamaged(path, "what is current does not agree with the events")
    return events


def read_input(row: tuple[Any, ...], path: Path, *, whole_after: int) -> Input:
    number, topic, payload, received_at, retained, redelivered = row[:6]
    expected = row_checksum(*row[:12]) if number > whole_after else parts_checksum(number, topic, payload)
    if row[12] != expected:
        raise JournalDamaged(path, f"input {number} does not match its seal")
    aside, aside_seal = row[13:]
    if aside is not None:
        payload = aside
        require_optional_checksum(path, f"the quarantined payload of input {number}", (number, aside), aside_seal)
    return Input(
        number=number,
        topic=topic,
        payload=payload,
        received_at=received_at,
        retained=bool(retained),
        redelivered=bool(redelivered),
    )


def read_applied(
    row: tuple[Any, ...], events: Mapping[int, CommittedEvent], path: Path, *, whole_after: int, oldest_offset: int
) -> JournalEntry:
    """Return the journal entry of an input; events that retention has removed are left out."""
    given = read_input(row, path, whole_after=whole_after)
    effect, reason, rejected, reached_core, first, count = row[6:12]
    offsets = range(max(first, oldest_offset), first + count)
    if any(offset not in events for offset in offsets):
        raise JournalDamaged(path, f"an event of input {given.number} is missing")
    return JournalEntry(
        input=given,
        disposition=Disposition(Effect(effect), reason, bool(rejected)),
        events=tuple(events[offset] for offset in offsets),
        reached_core=bool(reached_core),
    )


def read_config(row: tuple[Any, ...], path: Path) -> Input:
    topic, number, payload, received_at, sealed = row
    require_optional_checksum(path, f"the configuration {topic}", (topic, number, payload, received_at), sealed)
    return Input(number=number, topic=topic, payload=payload, received_at=received_at)


def read_counter(row: tuple[Any, ...], path: Path) -> tuple[tuple[str, str, str], int]:
    kind, effect, reason, count, sealed = row
    require_optional_checksum(path, f"the count of {kind}/{effect}", (kind, effect, reason, count), sealed)
    return (kind, effect, reason), count


def read_digest(row: tuple[Any, ...], path: Path) -> tuple[int, MessageDigest]:
    number, digest, dated, mid, sealed = row
    require_optional_checksum(path, f"the digest of input {number}", (number, digest, dated, mid), sealed)
    return number, MessageDigest(digest, bool(dated), mid)


def read_crash_digest(row: tuple[Any, ...], path: Path) -> bytes:
    """Return the digest of a message that crashed the core."""
    number, found, sealed = row
    require_checksum(path, f"crashing message {number}", (number, found), sealed)
    return bytes(found)


def read_command(row: tuple[Any, ...], path: Path) -> CommandRecord:
    user, command_id, outcome, reason, event_ids, at, sealed = row
    require_optional_checksum(path, f"command {command_id}", row[:6], sealed)
    return CommandRecord(
        user=user,
        command_id=command_id,
        outcome=outcome,
        reason=reason,
        event_ids=tuple(json.loads(event_ids)),
        at=at,
    )


def require_optional_checksum(path: Path, what: str, fields: tuple[Any, ...], sealed: int | None) -> None:
    """Raise `JournalDamaged` if a row does not match its checksum; a row of schema 1 has none."""
    if sealed is not None:
        require_checksum(path, what, fields, sealed)


def require_checksum(path: Path, what: str, fields: tuple[Any, ...], sealed: int) -> None:
    """Raise `JournalDamaged` if a row does not match its checksum; for tables in which every row has one."""
    if row_checksum(*fields) != sealed:
        raise JournalDamaged(path, f"{what} does not match its seal")
