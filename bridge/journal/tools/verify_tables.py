"""Verification of the small tables: current events, counters, checkpoints, and the bridge's other state."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.domain.dedup import DIGEST_BYTES, digest_message
from bridge.domain.event_topic import EventTopic, NotAnEventTopic, format_state_key
from bridge.domain.events import Standing
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.quarantine_decisions import DECISION_COLUMNS, read_decision
from bridge.journal.sqlite.rows import (
    read_checkpoint,
    read_command,
    read_config,
    read_counter,
    read_crash_digest,
    read_current_offset,
    read_digest,
    read_hourly_position,
    read_retained_topic,
    require_checksum,
)
from bridge.journal.tools.read_only import READ_ERRORS, JournalSummary
from bridge.journal.tools.row_reader import Row
from bridge.journal.tools.verify_sequences import EventVerifier, InputVerifier, VerifiedPart

RowCheck = Callable[[VerifiedPart, Row, JournalSummary, Path], None]


@dataclass(frozen=True, slots=True)
class TableCheck:
    """A table that is read at once, and the check of one of its rows."""

    name: str
    query: str
    check: RowCheck


@dataclass(frozen=True, slots=True)
class CurrentPointer:
    """The event that a state key points to; `topic` is None if the event isn't held."""

    offset: int
    topic: str | None
    standing: str | None


def read_current_pointers(connection: sqlite3.Connection, path: Path, part: VerifiedPart) -> dict[str, CurrentPointer]:
    """Return the rows of `current_events` by key; add a fault for each that does not match its checksum."""
    pointers = {}
    rows = connection.execute(
        "SELECT state_key, current_events.offset, current_events.checksum, topic, standing "
        "FROM current_events LEFT JOIN events USING (offset)"
    ).fetchall()
    for row in rows:
        try:
            key, offset = read_current_offset(row[:3], path)
        except JournalDamaged as damage:
            part.add_fault(damage.finding)
        else:
            pointers[key] = CurrentPointer(offset, *row[3:])
    return pointers


def check_current(
    part: VerifiedPart, held: Mapping[str, CurrentPointer], summary: JournalSummary, walk: EventVerifier
) -> None:
    """Check the rows of `current_events` against the events."""
    part.scope = f"{len(held):,} state keys"
    for key, to in held.items():
        if to.topic is None:
            part.add_fault(f"{key} points to event {to.offset}, which is not held")
        elif to.standing != Standing.CURRENT or not _has_state_key(to.topic, key):
            part.add_fault(f"{key} points to event {to.offset}, which is another's or not current")
        elif to.offset >= walk.oldest and walk.current.get(key) != to.offset and not walk.part.faults:
            part.add_fault(f"{key} points to event {to.offset}, and the last one is {walk.current.get(key, 'closed')}")
    # a plant that lost equipment retired some current events before
    since = max((epoch.first_offset for epoch in summary.epochs if epoch.reason == "plant"), default=0)
    for key, offset in walk.current.items():
        if key not in held and offset >= max(since, walk.oldest) and not walk.part.faults:
            part.add_fault(f"{key} is not current, and event {offset} says it is")


def check_counters(
    part: VerifiedPart, counters: Mapping[tuple[str, str, str], int], summary: JournalSummary, walk: InputVerifier
) -> None:
    """Check the counters against the inputs held: exactly, unless retention has removed some."""
    total = sum(counters.values())
    part.scope = f"{total:,} inputs received"
    if total != summary.meta.last_number:
        part.add_fault(f"{total} inputs are counted, and {summary.meta.last_number} were received")
    if walk.part.faults:
        return  # what cannot be read cannot be counted
    for key in counters.keys() | walk.counts.keys():
        counted, held = counters.get(key, 0), walk.counts[key]
        if counted < held or (walk.oldest == 1 and counted != held):
            part.add_fault(f"{'/'.join(filter(None, key))} is counted {counted} times, and {held} are held")
    if walk.latest_arrival > summary.meta.latest_arrival:
        part.add_fault("an input arrived after the latest arrival")


def read_counters(connection: sqlite3.Connection, path: Path, part: VerifiedPart) -> dict[tuple[str, str, str], int]:
    """Return the counters; add a fault for each that does not match its checksum."""
    counters = {}
    for row in connection.execute("SELECT kind, effect, reason, count, checksum FROM counters").fetchall():
        try:
            key, count = read_counter(row, path)
        except JournalDamaged as damage:
            part.add_fault(damage.finding)
        else:
            counters[key] = count
    return counters


def _checkpoint(part: VerifiedPart, row: Row, facts: JournalSummary, path: Path) -> None:
    checkpoint = read_checkpoint(row, path)
    if checkpoint.number > facts.meta.last_number:
        part.add_fault(
            f"the checkpoint of line {checkpoint.line} is after input {checkpoint.number}, which is not there"
        )


def _quarantined(part: VerifiedPart, row: Row, facts: JournalSummary, path: Path) -> None:
    number, payload, checksum, effect = row
    require_checksum(path, "quarantine", f"the quarantined payload of input {number}", (number, payload), checksum)
    if effect != "quarantined" and facts.meta.oldest_number <= number <= facts.meta.last_number:
        part.add_fault(f"a quarantined payload is held of input {number}, which is not quarantined")


def _quarantine_decision(part: VerifiedPart, row: Row, facts: JournalSummary, path: Path) -> None:
    number, effect = row[0], row[4]
    read_decision(row[:4], path)
    if effect != "quarantined" and facts.meta.oldest_number <= number <= facts.meta.last_number:
        part.add_fault(f"input {number} was decided about, and is not quarantined")


def _command(_part: VerifiedPart, row: Row, _facts: JournalSummary, path: Path) -> None:
    read_command(row, path)


def _dedup_digest(part: VerifiedPart, row: Row, _facts: JournalSummary, path: Path) -> None:
    number, resend = read_digest(row[:5], path)
    topic, payload = row[5:]
    if topic is not None and digest_message(topic, payload) != resend.digest:
        part.add_fault(f"the digest of input {number} is not that of its content")


def _crash_digest(part: VerifiedPart, row: Row, _facts: JournalSummary, path: Path) -> None:
    if len(read_crash_digest(row, path)) != DIGEST_BYTES:
        part.add_fault("the digest of a message that crashed the core is none")


def _retained_topic(_part: VerifiedPart, row: Row, _facts: JournalSummary, path: Path) -> None:
    read_retained_topic(row, path)


def _config(part: VerifiedPart, row: Row, facts: JournalSummary, path: Path) -> None:
    config = read_config(row[:5], path)
    if config.number > facts.meta.last_number or (row[5] is not None and row[5:] != (config.topic, config.payload)):
        part.add_fault(f"the configuration {config.topic} is not that of input {config.number}")


def _hourly_position(part: VerifiedPart, row: Row, facts: JournalSummary, path: Path) -> None:
    hour_end, number, offset = read_hourly_position(row, path)
    if not (0 <= number <= facts.meta.last_number and 0 <= offset <= facts.meta.last_offset):
        part.add_fault(f"the position of hour {hour_end} is beyond the last input or event")


TABLE_CHECKS: Final = (
    TableCheck("checkpoints", "SELECT line, number, state, checksum FROM checkpoints", _checkpoint),
    TableCheck(
        "quarantine",
        "SELECT number, quarantine.payload, quarantine.checksum, effect "
        "FROM quarantine LEFT JOIN inputs USING (number)",
        _quarantined,
    ),
    TableCheck(
        "quarantine_decisions",
        f"SELECT {DECISION_COLUMNS}, effect FROM quarantine_decisions LEFT JOIN inputs USING (number)",  # noqa: S608 - ours
        _quarantine_decision,
    ),
    TableCheck("commands", "SELECT user, command_id, outcome, reason, event_ids, at, checksum FROM commands", _command),
    TableCheck(
        "dedup_digests",
        "SELECT number, digest, has_timestamp, packet_id, dedup_digests.checksum, topic, payload "
        "FROM dedup_digests LEFT JOIN inputs USING (number)",
        _dedup_digest,
    ),
    TableCheck("crash_digests", "SELECT number, digest, checksum FROM crash_digests", _crash_digest),
    TableCheck("retained_topics", "SELECT state_key, topic, checksum FROM retained_topics", _retained_topic),
    TableCheck(
        "config",
        "SELECT config.topic, config.number, config.payload, config.received_at, config.checksum, inputs.topic, "
        "inputs.payload FROM config LEFT JOIN inputs USING (number)",
        _config,
    ),
    TableCheck("hourly_positions", "SELECT hour_end, number, offset, checksum FROM hourly_positions", _hourly_position),
)
"""Each table has a bound of its own, or is bounded by what is current."""


def check_table(connection: sqlite3.Connection, summary: JournalSummary, path: Path, table: TableCheck) -> VerifiedPart:
    """Check every row of a small table."""
    part, seen = VerifiedPart(table.name), 0
    try:
        for row in connection.execute(table.query):
            seen += 1
            _check_row(part, row, summary, path, table.check)
    except READ_ERRORS as error:
        part.add_fault(f"cannot be read: {error}")
    part.scope = f"{seen:,} rows"
    return part


def _check_row(part: VerifiedPart, row: tuple[Any, ...], facts: JournalSummary, path: Path, check: RowCheck) -> None:
    try:
        check(part, row, facts, path)
    except JournalDamaged as damage:
        part.add_fault(damage.finding)
    except (ValueError, TypeError, AttributeError) as error:  # a column holds an invalid value
        part.add_fault(f"{row[0]}: {error}")


def _has_state_key(topic: str, key: str) -> bool:
    """Return whether `topic` is the topic of an event with this state key."""
    try:
        return format_state_key(EventTopic.parse(topic).state_key) == key
    except NotAnEventTopic:
        return False
