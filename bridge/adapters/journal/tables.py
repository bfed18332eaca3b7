"""The small tables in a verification: what is current, the counts, checkpoints, and what else the bridge remembers."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.adapters.journal.decisions import DECISION_COLUMNS, read_decision
from bridge.adapters.journal.errors import JournalDamaged
from bridge.adapters.journal.facts import UNREADABLE, Facts
from bridge.adapters.journal.rows import read_command, read_config, read_counter, read_resend, read_suspect, require
from bridge.adapters.journal.scan import Row
from bridge.adapters.journal.schema import seal
from bridge.adapters.journal.walks import EventWalk, InputWalk, Part
from bridge.core.events import CATEGORY_OF, EventType, Priority, Standing
from bridge.core.resends import DIGEST_BYTES, digest_message

Check = Callable[[Part, Row, Facts, Path], None]


@dataclass(frozen=True, slots=True)
class Small:
    """A table that is read at once, and the check of one of its rows."""

    name: str
    query: str
    check: Check


@dataclass(frozen=True, slots=True)
class Pointed:
    """The event that a state key points to; `topic` None where it isn't held."""

    offset: int
    topic: str | None
    standing: str | None


def read_current(connection: sqlite3.Connection, path: Path, part: Part) -> dict[str, Pointed]:
    """Return what is said to be current, by key; what does not match its seal is told."""
    found = {}
    rows = connection.execute(
        "SELECT key, current.offset, current.seal, topic, standing FROM current LEFT JOIN events USING (offset)"
    ).fetchall()
    for key, offset, sealed, topic, standing in rows:
        try:
            require(path, f"what is current of {key}", (key, offset), sealed)
        except JournalDamaged as damage:
            part.fault(damage.finding)
        else:
            found[key] = Pointed(offset, topic, standing)
    return found


def check_current(part: Part, held: Mapping[str, Pointed], facts: Facts, walk: EventWalk) -> None:
    """Hold what is said to be current against what the events say."""
    part.looked_at = f"{len(held):,} state keys"
    for key, to in held.items():
        if to.topic is None:
            part.fault(f"{key} points to event {to.offset}, which is not held")
        elif to.standing != Standing.CURRENT or not _is_of(to.topic, key):
            part.fault(f"{key} points to event {to.offset}, which is another's or not current")
        elif to.offset >= walk.oldest and walk.current.get(key) != to.offset and not walk.part.faults:
            part.fault(f"{key} points to event {to.offset}, and the last one is {walk.current.get(key, 'closed')}")
    # a plant that lost equipment retired some of what was current before
    since = max((each.first_offset for each in facts.epochs if each.reason == "plant"), default=0)
    for key, offset in walk.current.items():
        if key not in held and offset >= max(since, walk.oldest) and not walk.part.faults:
            part.fault(f"{key} is not current, and event {offset} says it is")


def check_counters(part: Part, counters: Mapping[tuple[str, str, str], int], facts: Facts, walk: InputWalk) -> None:
    """Hold the accounting against the inputs held: exactly, while none is retired."""
    total = sum(counters.values())
    part.looked_at = f"{total:,} inputs received"
    if total != facts.meta.last_number:
        part.fault(f"{total} inputs are counted, and {facts.meta.last_number} were received")
    if walk.part.faults:
        return  # what cannot be read cannot be counted
    for key in counters.keys() | walk.counts.keys():
        counted, held = counters.get(key, 0), walk.counts[key]
        if counted < held or (walk.oldest == 1 and counted != held):
            part.fault(f"{'/'.join(filter(None, key))} is counted {counted} times, and {held} are held")
    if walk.latest_arrival > facts.meta.latest_arrival:
        part.fault("an input arrived after the latest arrival")


def read_counters(connection: sqlite3.Connection, path: Path, part: Part) -> dict[tuple[str, str, str], int]:
    """Return the accounting; a count that does not match its seal is told."""
    found = {}
    for row in connection.execute("SELECT kind, effect, reason, count, seal FROM counters").fetchall():
        try:
            key, count = read_counter(row, path)
        except JournalDamaged as damage:
            part.fault(damage.finding)
        else:
            if [type(each) for each in (*key, count)] == [str, str, str, int]:
                found[key] = count
            else:  # a seal that is gone too passes for that of an older version
                part.fault(f"the count of {key} cannot be read")
    return found


def _checkpoint(part: Part, row: Row, facts: Facts, path: Path) -> None:
    line, number, state, sealed = row
    if seal(line, number, state) != sealed:
        raise JournalDamaged(path, f"the checkpoint of line {line} does not match its seal")
    if number > facts.meta.last_number:
        part.fault(f"the checkpoint of line {line} is after input {number}, which is not there")


def _quarantined(part: Part, row: Row, facts: Facts, path: Path) -> None:
    number, payload, sealed, effect = row
    require(path, f"the quarantined payload of input {number}", (number, payload), sealed)
    if effect != "quarantined" and facts.meta.oldest_number <= number <= facts.meta.last_number:
        part.fault(f"a quarantined payload is held of input {number}, which is not quarantined")


def _handled(part: Part, row: Row, facts: Facts, path: Path) -> None:
    number, effect = row[0], row[4]
    read_decision(row[:4], path)
    if effect != "quarantined" and facts.meta.oldest_number <= number <= facts.meta.last_number:
        part.fault(f"input {number} was decided about, and is not quarantined")


def _command(_part: Part, row: Row, _facts: Facts, path: Path) -> None:
    read_command(row, path)


def _resend(part: Part, row: Row, _facts: Facts, path: Path) -> None:
    number, resend = read_resend(row[:5], path)
    topic, payload = row[5:]
    if topic is not None and digest_message(topic, payload) != resend.digest:
        part.fault(f"the digest of input {number} is not that of its content")


def _suspect(part: Part, row: Row, _facts: Facts, path: Path) -> None:
    if len(read_suspect(row, path)) != DIGEST_BYTES:
        part.fault("the digest of a message that crashed the core is none")


def _retained(part: Part, row: Row, _facts: Facts, path: Path) -> None:
    key, topic, sealed = row
    require(path, f"what is retained for {key}", (key, topic), sealed)
    if not _is_of(topic, key):
        part.fault(f"{topic} is noted as retained for {key}")


def _config(part: Part, row: Row, facts: Facts, path: Path) -> None:
    given = read_config(row[:5], path)
    if given.number > facts.meta.last_number or (row[5] is not None and row[5:] != (given.topic, given.payload)):
        part.fault(f"the configuration {given.topic} is not that of input {given.number}")


def _age(part: Part, row: Row, facts: Facts, path: Path) -> None:
    at, number, offset, sealed = row
    require(path, f"the mark of hour {at}", (at, number, offset), sealed)
    if not (0 <= number <= facts.meta.last_number and 0 <= offset <= facts.meta.last_offset):
        part.fault(f"the mark of {at} is beyond the last input or event")


SMALL: Final = (
    Small("checkpoints", "SELECT line, number, state, seal FROM checkpoints", _checkpoint),
    Small(
        "quarantine",
        "SELECT number, quarantine.payload, quarantine.seal, effect FROM quarantine LEFT JOIN inputs USING (number)",
        _quarantined,
    ),
    Small(
        "decisions",
        f"SELECT {DECISION_COLUMNS}, effect FROM handled LEFT JOIN inputs USING (number)",  # noqa: S608 - our own constant
        _handled,
    ),
    Small("commands", "SELECT user, command_id, outcome, reason, event_ids, at, seal FROM commands", _command),
    Small(
        "resends",
        "SELECT number, digest, dated, mid, resends.seal, topic, payload FROM resends LEFT JOIN inputs USING (number)",
        _resend,
    ),
    Small("suspects", "SELECT number, digest, seal FROM suspects", _suspect),
    Small("retained", "SELECT key, topic, seal FROM retained", _retained),
    Small(
        "configuration",
        "SELECT config.topic, config.number, config.payload, config.received_at, config.seal, inputs.topic, "
        "inputs.payload FROM config LEFT JOIN inputs USING (number)",
        _config,
    ),
    Small("ages", "SELECT at, number, offset, seal FROM ages", _age),
)
"""Each has a bound of its own, or follows from what is current."""


def check_small(connection: sqlite3.Connection, facts: Facts, path: Path, table: Small) -> Part:
    """Look at every row of a small table."""
    part, seen = Part(table.name), 0
    try:
        for row in connection.execute(table.query):
            seen += 1
            _guarded(part, row, facts, path, table.check)
    except UNREADABLE as error:
        part.fault(f"cannot be read: {error}")
    part.looked_at = f"{seen:,} rows"
    return part


def _guarded(part: Part, row: tuple[Any, ...], facts: Facts, path: Path, check: Check) -> None:
    try:
        check(part, row, facts, path)
    except JournalDamaged as damage:
        part.fault(damage.finding)
    except (ValueError, TypeError, AttributeError) as error:  # a column that holds something else
        part.fault(f"{row[0]}: {error}")


def _is_of(topic: str, key: str) -> bool:
    """Say whether this is the topic of an event with this state key."""
    try:
        site, area, line, equipment, category, event_type, priority, subject = topic.split("/")
        fits = CATEGORY_OF[EventType(event_type)] == category and Priority(priority) in Priority
    except ValueError:
        return False
    return fits and key == f"{site}/{area}/{line}/{equipment}/{category}/{subject}"
