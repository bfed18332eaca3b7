"""What may be asked of a journal in SQLite, from any thread, while its one writer writes."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bridge.adapters.journal_schema import JournalDamaged, connect, seal
from bridge.core.events import EventType, Millis, Priority, Standing, StateKey
from bridge.core.records import (
    Applied,
    Checkpoint,
    CommandRecord,
    Committed,
    Input,
    KnownResends,
    Position,
    Resend,
    Snapshot,
)
from bridge.core.reports import Disposition, Effect

COMMAND_MS: Final = 24 * 3_600_000  # PROTOCOL, Asking: idempotent for 24 h
READERS: Final = 8  # idle reader connections kept
EVENT_COLUMNS: Final = "offset, id, topic, standing, timestamp, audience, body, seal"


class SqliteReader:
    """The reading half: every answer is read in one transaction on a connection of its own."""

    def __init__(self, path: Path, *, stream: str, epoch: str) -> None:
        self.path = path
        self.stream = stream
        self.epoch = epoch
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    def position(self) -> Position:
        return Position(self.stream, self.epoch, self._one("SELECT last_offset FROM meta")[0])

    def last_input(self) -> tuple[int, Millis]:
        number, arrival = self._one("SELECT last_number, latest_arrival FROM meta")
        return number, arrival

    def snapshot(self) -> Snapshot:
        with self._reading() as reader:
            offset = reader.execute("SELECT last_offset FROM meta").fetchone()[0]
            rows = reader.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE offset IN (SELECT offset FROM current) ORDER BY offset"  # noqa: S608 - our own constant
            ).fetchall()
            held = reader.execute("SELECT count(*) FROM current").fetchone()[0]
        if held != len(rows):
            raise JournalDamaged(self.path, "an event that is current is missing")
        return Snapshot(Position(self.stream, self.epoch, offset), tuple(map(self._event, rows)))

    def events_after(self, offset: int, *, limit: int) -> Sequence[Committed]:
        with self._reading() as reader:
            rows = reader.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE offset > ? ORDER BY offset LIMIT ?",  # noqa: S608 - our own constant
                (offset, limit),
            ).fetchall()
        return [self._event(row) for row in rows]

    def oldest_offset(self) -> int:
        (oldest,) = self._one("SELECT coalesce((SELECT min(offset) FROM events), last_offset + 1) FROM meta")
        return int(oldest)

    def checkpoints(self) -> Sequence[Checkpoint]:
        found = []
        for line, number, state, sealed in self._all("SELECT line, number, state, seal FROM checkpoints ORDER BY line"):
            if seal(line, number, state) != sealed:
                raise JournalDamaged(self.path, f"checkpoint of line {line}")
            found.append(Checkpoint(line, number, state))
        return found

    def inputs_after(self, number: int, *, limit: int) -> Sequence[Applied]:
        with self._reading() as reader:
            rows = reader.execute(
                "SELECT inputs.*, quarantine.payload FROM inputs LEFT JOIN quarantine USING (number) "
                "WHERE number > ? ORDER BY number LIMIT ?",
                (number, limit),
            ).fetchall()
            offsets = [offset for row in rows for offset in range(row[10], row[10] + row[11])]
            first, last = (offsets[0], offsets[-1]) if offsets else (0, -1)
            found = reader.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE offset BETWEEN ? AND ?",  # noqa: S608 - our own constant
                (first, last),
            ).fetchall()
        events = {row[0]: self._event(row) for row in found}
        return [self._applied(row, events) for row in rows]

    def known_resends(self) -> KnownResends:
        rows = self._all("SELECT number, digest, dated FROM resends ORDER BY number")
        (settled,) = self._one("SELECT settled FROM meta")
        return KnownResends(tuple((row[0], Resend(row[1], bool(row[2]))) for row in rows), settled)

    def suspects(self) -> frozenset[bytes]:
        return frozenset(row[0] for row in self._all("SELECT digest FROM suspects"))

    def command(self, user: str, command_id: str) -> CommandRecord | None:
        rows = self._all(
            "SELECT outcome, reason, event_ids, at FROM commands "
            "WHERE user = ? AND command_id = ? AND at >= (SELECT latest_arrival FROM meta) - ?",
            (user, command_id, COMMAND_MS),
        )
        for outcome, reason, event_ids, at in rows:
            return CommandRecord(
                user=user,
                command_id=command_id,
                outcome=outcome,
                reason=reason,
                event_ids=tuple(json.loads(event_ids)),
                at=at,
            )
        return None

    def published(self) -> int:
        return int(self._one("SELECT published FROM meta")[0])

    def retained(self) -> Mapping[StateKey, str]:
        return {_key(key): topic for key, topic in self._all("SELECT key, topic FROM retained ORDER BY key")}

    def counters(self) -> Mapping[tuple[str, str, str], int]:
        rows = self._all("SELECT kind, effect, reason, count FROM counters")
        return {(kind, effect, reason): count for kind, effect, reason, count in rows}

    def close(self) -> None:
        """Close the idle connections; one that is lent out is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection of the caller's own, inside one read transaction."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = connect(self.path, writer=False)
        try:
            reader.execute("BEGIN")
            yield reader
            reader.execute("COMMIT")
        except BaseException as error:
            reader.close()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                raise JournalDamaged(self.path, str(error)) from error
            raise
        if self._closed or len(self._idle) >= READERS:
            reader.close()
        else:
            self._idle.append(reader)

    def _one(self, query: str) -> tuple[Any, ...]:
        return self._all(query)[0]

    def _all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._reading() as reader:
            return reader.execute(query, values).fetchall()

    def _event(self, row: tuple[Any, ...]) -> Committed:
        *fields, sealed = row
        if seal(*fields) != sealed:
            raise JournalDamaged(self.path, f"event {row[0]} does not match its seal")
        offset, event_id, topic, standing, timestamp, audience, body = fields
        site, area, line, equipment, category, event_type, priority, subject = topic.split("/")
        return Committed(
            offset=offset,
            id=event_id,
            type=EventType(event_type),
            topic=topic,
            priority=Priority(priority),
            state_key=(site, area, line, equipment, category, subject),
            standing=Standing(standing),
            timestamp=timestamp,
            audience=tuple(json.loads(audience)),
            body=body,
        )

    def _applied(self, row: tuple[Any, ...], events: Mapping[int, Committed]) -> Applied:
        number, topic, payload, received_at, retained, redelivered = row[:6]
        effect, reason, rejected, reached_core, first, count, sealed, aside = row[6:]
        if seal(number, topic, payload) != sealed or any(first + n not in events for n in range(count)):
            raise JournalDamaged(self.path, f"input {number}")
        return Applied(
            input=Input(
                number=number,
                topic=topic,
                payload=payload if aside is None else aside,
                received_at=received_at,
                retained=bool(retained),
                redelivered=bool(redelivered),
            ),
            disposition=Disposition(Effect(effect), reason, bool(rejected)),
            events=tuple(events[first + n] for n in range(count)),
            reached_core=bool(reached_core),
        )


def _key(text: str) -> StateKey:
    site, area, line, equipment, category, subject = text.split("/")
    return (site, area, line, equipment, category, subject)
