"""The journal in SQLite: one file, one writer, one transaction and one fsync a batch."""

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from bridge.adapters.journal_reading import COMMAND_MS, SqliteReader
from bridge.adapters.journal_schema import (
    JournalDamaged,
    JournalInUse,
    JournalTooNew,
    StreamMismatch,
    check,
    connect,
    create,
    migrate,
    seal,
    take_lock,
)
from bridge.core.events import Millis, Standing, StateKey
from bridge.core.records import RESEND_INPUTS, Applied, Batch, CommitFailed, Committed, JournalError, count_key
from bridge.core.reports import Effect

__all__ = [
    "CommitFailed",
    "JournalDamaged",
    "JournalError",
    "JournalInUse",
    "JournalTooNew",
    "SqliteJournal",
    "StreamMismatch",
]

QUARANTINE_INPUTS: Final = 1_000  # garbage kept for whoever looks into it: a babbling device can't fill the disk
QUARANTINE_BYTES: Final = 65_536  # of one payload
SUSPECTS: Final = 1_000  # messages that crashed the core; more than that and it isn't the messages


class SqliteJournal(SqliteReader):
    """A durable stream in one file, owned by one process; every thread may read, one at a time writes."""

    def __init__(self, path: Path, *, stream: str, epoch: str, lock: IO[bytes], writer: sqlite3.Connection) -> None:
        super().__init__(path, stream=stream, epoch=epoch)
        self._lock = lock
        self._writer = writer
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, stream: str) -> "SqliteJournal":
        """Open the journal, or make it where there is none; a damaged, newer, foreign or owned one is refused."""
        lock = take_lock(path)
        writer: sqlite3.Connection | None = None
        try:
            if not path.exists():
                create(path, stream=stream, created=time.time_ns() // 1_000_000)
            writer = connect(path, writer=True)
            epoch, schema = check(writer, path, stream=stream)
            migrate(writer, schema)
        except BaseException as error:
            if writer is not None:
                writer.close()
            lock.close()
            if isinstance(error, sqlite3.OperationalError):  # no access, disk full, locked by a shell
                raise JournalError(f"{path}: {error}") from error
            if isinstance(error, sqlite3.DatabaseError):
                raise JournalDamaged(path, str(error)) from error
            raise
        return cls(path, stream=stream, epoch=epoch, lock=lock, writer=writer)

    # -- writing ----------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        with self._transaction() as writer:
            last_offset, last_number, latest_arrival = writer.execute(
                "SELECT last_offset, last_number, latest_arrival FROM meta"
            ).fetchone()
            for entry in batch.entries:
                self._check_order(entry, last_number, last_offset)
                last_number = entry.input.number
                last_offset += len(entry.events)
                latest_arrival = max(latest_arrival, entry.input.received_at)
            self._write_inputs(writer, batch.entries)
            self._write_events(writer, [event for entry in batch.entries for event in entry.events])
            self._write_commands(writer, batch.entries, latest_arrival)
            self._write_resends(writer, batch, last_number)
            writer.executemany(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)",
                [
                    (line, last_number, state, seal(line, last_number, state))
                    for line, state in batch.checkpoints.items()
                ],
            )
            writer.execute(
                "UPDATE meta SET last_offset = ?, last_number = ?, latest_arrival = ?, settled = coalesce(?, settled)",
                (last_offset, last_number, latest_arrival, batch.settled),
            )

    def mark_published(self, offset: int, *, retained: Iterable[tuple[StateKey, str | None]]) -> None:
        # with its own fsync: after a failed fsync the kernel may have dropped unsynced pages of the WAL, and a later
        # commit that stands behind them in the file would be lost with them
        with self._transaction() as writer:
            for key, topic in retained:
                if topic is None:
                    writer.execute("DELETE FROM retained WHERE key = ?", ("/".join(key),))
                else:
                    writer.execute("INSERT OR REPLACE INTO retained VALUES (?, ?)", ("/".join(key), topic))
            writer.execute("UPDATE meta SET published = ?", (offset,))

    def close(self) -> None:
        """Close every connection and give up ownership; a second call does nothing."""
        with self._writing:
            super().close()
            self._writer.close()
            self._lock.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            if self._closed:
                raise JournalError(f"{self.path}: closed")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                self._rollback()
                if isinstance(error, sqlite3.OperationalError):  # disk full, input or output error, locked
                    raise CommitFailed(str(error)) from error
                if type(error) is sqlite3.DatabaseError:  # SQLITE_CORRUPT, SQLITE_NOTADB
                    raise JournalDamaged(self.path, str(error)) from error
                raise
            except BaseException:
                self._rollback()
                raise

    def _rollback(self) -> None:
        if self._writer.in_transaction:  # SQLite has already rolled back after some errors
            self._writer.execute("ROLLBACK")

    @staticmethod
    def _check_order(entry: Applied, last_number: int, last_offset: int) -> None:
        """Refuse a hole or a repetition: it would be a bug of ours, and must not become durable."""
        offsets = [event.offset for event in entry.events]
        expected = list(range(last_offset + 1, last_offset + 1 + len(offsets)))
        if entry.input.number != last_number + 1 or offsets != expected:
            raise ValueError(
                f"input {entry.input.number} with offsets {offsets} does not follow input {last_number} "
                f"and offset {last_offset}"
            )

    @staticmethod
    def _write_inputs(writer: sqlite3.Connection, entries: Sequence[Applied]) -> None:
        rows, aside = [], []
        for entry in entries:
            given, disposition, events = entry.input, entry.disposition, entry.events
            payload = given.payload
            if not entry.reached_core and disposition.effect is Effect.QUARANTINED:
                aside.append((given.number, payload[:QUARANTINE_BYTES]))
                payload = b""
            rows.append((
                given.number, given.topic, payload, given.received_at, given.retained, given.redelivered,
                disposition.effect.value, disposition.reason, disposition.rejected, entry.reached_core,
                events[0].offset if events else 0, len(events), seal(given.number, given.topic, payload),
            ))  # fmt: skip
        writer.executemany("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        if aside:
            writer.executemany("INSERT INTO quarantine VALUES (?, ?)", aside)
            writer.execute(
                "DELETE FROM quarantine WHERE number <= "
                "(SELECT number FROM quarantine ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (QUARANTINE_INPUTS,),
            )
        writer.executemany(
            "INSERT INTO counters VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, effect, reason) DO UPDATE SET count = count + excluded.count",
            [(*key, count) for key, count in Counter(map(count_key, entries)).items()],
        )

    @staticmethod
    def _write_events(writer: sqlite3.Connection, events: Sequence[Committed]) -> None:
        rows = []
        current: dict[str, int | None] = {}
        for event in events:
            audience = json.dumps(event.audience)
            fields = (event.offset, event.id, event.topic, event.standing.value, event.timestamp, audience, event.body)
            rows.append((*fields, seal(*fields)))
            if event.standing is not Standing.HISTORY:
                current["/".join(event.state_key)] = event.offset if event.standing is Standing.CURRENT else None
        writer.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        for key, offset in current.items():
            if offset is None:
                writer.execute("DELETE FROM current WHERE key = ?", (key,))
            else:
                writer.execute("INSERT OR REPLACE INTO current VALUES (?, ?)", (key, offset))

    @staticmethod
    def _write_commands(writer: sqlite3.Connection, entries: Sequence[Applied], latest_arrival: Millis) -> None:
        records = [entry.command for entry in entries if entry.command is not None]
        if not records:
            return
        writer.execute("DELETE FROM commands WHERE at < ?", (latest_arrival - COMMAND_MS,))
        writer.executemany(
            "INSERT OR IGNORE INTO commands VALUES (?, ?, ?, ?, ?, ?)",  # a repeated command keeps its first result
            [(e.user, e.command_id, e.outcome, e.reason, json.dumps(e.event_ids), e.at) for e in records],
        )

    @staticmethod
    def _write_resends(writer: sqlite3.Connection, batch: Batch, last_number: int) -> None:
        rows = [(e.input.number, e.resend.digest, e.resend.dated) for e in batch.entries if e.resend is not None]
        if rows:
            writer.executemany("INSERT INTO resends VALUES (?, ?, ?)", rows)
            writer.execute("DELETE FROM resends WHERE number <= ?", (last_number - RESEND_INPUTS,))
        if batch.suspect is not None:
            writer.execute("INSERT OR IGNORE INTO suspects (digest) VALUES (?)", (batch.suspect,))
            writer.execute("DELETE FROM suspects WHERE number <= (SELECT max(number) FROM suspects) - ?", (SUSPECTS,))
