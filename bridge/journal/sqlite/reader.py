"""Reads of a journal in SQLite, from any thread or process, while its one writer writes."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from bridge.domain.event_topic import EventTopic, StateKey
from bridge.domain.records import CommandRecord, CommittedEvent, DedupWindow, Input, JournalEntry, Position, Snapshot
from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.batch_rows import COMMAND_MS
from bridge.journal.sqlite.errors import JournalTooOld
from bridge.journal.sqlite.file import connect, open_connection, read_schema_version, translate_errors
from bridge.journal.sqlite.lock_file import read_marker
from bridge.journal.sqlite.quarantine_decisions import DECISION_COLUMNS, read_decision
from bridge.journal.sqlite.rows import (
    EVENT_COLUMNS,
    INPUT_COLUMNS,
    read_applied,
    read_checkpoint,
    read_command,
    read_config,
    read_counter,
    read_crash_digest,
    read_current,
    read_digest,
    read_event,
    read_input,
    read_retained_topic,
)
from bridge.journal.sqlite.schema import SCHEMA, Meta, read_meta
from bridge.journal.sqlite.start_checks import check_consistency, check_structure
from bridge.ports.journal import Checkpoint, JournalError, JournalUnavailable

READERS: Final = 8  # idle reader connections kept


class SqliteReader:
    """Reads a journal; each answer comes from one transaction on a connection of its own.

    `epoch` is the one at opening; `position` and `snapshot` return the current one.
    """

    def __init__(self, path: Path, *, stream: str, epoch: str) -> None:
        self.path = path
        self.stream = stream
        self.epoch = epoch
        self._idle: list[tuple[int, sqlite3.Connection]] = []  # each with the inode of its file
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, stream: str) -> Self:
        """Open a journal for reading, whether or not a process owns it.

        Raise `JournalError` if it is missing, damaged, newer, older or another stream's. `JournalTooOld`: start the
        bridge once, which migrates it.
        """
        if not path.exists():
            raise JournalError(f"{path}: there is no journal")
        mark = read_marker(path)  # before the journal is read, which may grow meanwhile
        with open_connection(path, writer=False) as connection:
            schema = read_schema_version(connection, path)
            if schema < SCHEMA:
                raise JournalTooOld(path, found=schema, known=SCHEMA)
            check_structure(connection, path)
            connection.execute("BEGIN")
            check_consistency(connection, path, stream=stream, marker=mark)
            epoch = read_meta(connection, path).epoch
            connection.execute("COMMIT")
            connection.close()
        return cls(path, stream=stream, epoch=epoch)

    def position(self) -> Position:
        meta = self._meta()
        return Position(meta.stream, meta.epoch, meta.last_offset)

    def last_input(self) -> tuple[int, Millis]:
        meta = self._meta()
        return meta.last_number, meta.latest_arrival

    def snapshot(self) -> Snapshot:
        with self._read_transaction() as reader:
            meta = read_meta(reader, self.path)
            events = read_current(reader, self.path)
        return Snapshot(Position(meta.stream, meta.epoch, meta.last_offset), events)

    def events_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        rows = self._all(
            f"SELECT {EVENT_COLUMNS} FROM events "  # noqa: S608 - our own constant
            "WHERE offset > ? AND offset >= (SELECT oldest_offset FROM meta) ORDER BY offset LIMIT ?",
            (offset, limit),
        )
        return [read_event(row, self.path) for row in rows]

    def event(self, offset: int) -> CommittedEvent | None:
        rows = self._all(f"SELECT {EVENT_COLUMNS} FROM events WHERE offset = ?", (offset,))  # noqa: S608 - as above
        return read_event(rows[0], self.path) if rows else None

    def oldest_offset(self) -> int:
        return self._meta().oldest_offset

    def checkpoints(self) -> Sequence[Checkpoint]:
        rows = self._all("SELECT line, number, state, checksum FROM checkpoints ORDER BY line")
        return [read_checkpoint(row, self.path) for row in rows]

    def inputs_after(self, number: int, *, limit: int) -> Sequence[JournalEntry]:
        with self._read_transaction() as reader:
            meta = read_meta(reader, self.path)
            rows = reader.execute(
                f"SELECT {INPUT_COLUMNS} FROM inputs LEFT JOIN quarantine USING (number) "  # noqa: S608 - ours
                "WHERE number > ? AND number >= ? ORDER BY number LIMIT ?",
                (number, meta.oldest_number, limit),
            ).fetchall()
            offsets = [offset for row in rows for offset in range(row[10], row[10] + row[11])]
            first, last = (offsets[0], offsets[-1]) if offsets else (0, -1)
            event_rows = reader.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE offset BETWEEN ? AND ?",  # noqa: S608 - our own constant
                (first, last),
            ).fetchall()
        events = {row[0]: read_event(row, self.path) for row in event_rows}
        return [read_applied(row, events, self.path, oldest_offset=meta.oldest_offset) for row in rows]

    def requested_replays(self, limit: int) -> Sequence[Input]:
        rows = self._all(
            f"SELECT {DECISION_COLUMNS}, {INPUT_COLUMNS} "  # noqa: S608 - our own constants
            "FROM quarantine_decisions JOIN inputs USING (number) LEFT JOIN quarantine USING (number) "
            "WHERE decision = 'asked' ORDER BY quarantine_decisions.number LIMIT ?",
            (limit,),
        )
        for row in rows:
            read_decision(row[:4], self.path)
        return [read_input(row[4:], self.path) for row in rows]

    def dedup_window(self) -> DedupWindow:
        rows = self._all("SELECT number, digest, has_timestamp, packet_id, checksum FROM dedup_digests ORDER BY number")
        return DedupWindow(tuple(read_digest(row, self.path) for row in rows), self._meta().acked_up_to)

    def config(self, topic: str) -> Input | None:
        rows = self._all("SELECT topic, number, payload, received_at, checksum FROM config WHERE topic = ?", (topic,))
        return read_config(rows[0], self.path) if rows else None

    def crash_digests(self) -> frozenset[bytes]:
        rows = self._all("SELECT number, digest, checksum FROM crash_digests")
        return frozenset(read_crash_digest(row, self.path) for row in rows)

    def command(self, user: str, command_id: str) -> CommandRecord | None:
        rows = self._all(
            "SELECT user, command_id, outcome, reason, event_ids, at, checksum FROM commands "
            "WHERE user = ? AND command_id = ?",
            (user, command_id),
        )
        record = read_command(rows[0], self.path) if rows else None
        return record if record is None or record.at >= self._meta().latest_arrival - COMMAND_MS else None

    def published_offset(self) -> int:
        return self._meta().published_offset

    def retained_topics(self) -> Mapping[StateKey, EventTopic]:
        rows = self._all("SELECT state_key, topic, checksum FROM retained_topics ORDER BY state_key")
        return {topic.state_key: topic for topic in (read_retained_topic(row, self.path) for row in rows)}

    def counters(self) -> Mapping[tuple[str, str, str], int]:
        rows = self._all("SELECT kind, effect, reason, count, checksum FROM counters")
        return dict(read_counter(row, self.path) for row in rows)

    def close(self) -> None:
        """Close the idle connections; one in use is closed when it is returned."""
        self._closed = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close the idle connections until the next read: a restore waits until no process has the file open."""
        with contextlib.suppress(IndexError):  # concurrent reads take from the same end
            while True:
                self._idle.pop()[1].close()

    def _meta(self) -> Meta:
        with self._read_transaction() as reader:
            return read_meta(reader, self.path)

    @contextmanager
    def _read_transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection of the caller's own, inside one read transaction."""
        with translate_errors(self.path):
            file, reader = self._take_connection()
            try:
                reader.execute("BEGIN")
                yield reader
                reader.execute("COMMIT")
            except BaseException:
                reader.close()
                raise
        if self._closed or len(self._idle) >= READERS:
            reader.close()
        else:
            self._idle.append((file, reader))

    def _take_connection(self) -> tuple[int, sqlite3.Connection]:
        try:
            inode = self.path.stat().st_ino
        except OSError as error:
            raise JournalUnavailable(f"{self.path}: {error}") from error
        with contextlib.suppress(IndexError):
            while True:
                file, reader = self._idle.pop()
                if file == inode:
                    return file, reader
                reader.close()  # a backup was restored: readers must not stay on the old file
        return inode, connect(self.path, writer=False)

    def _all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._read_transaction() as reader:
            return reader.execute(query, values).fetchall()
