"""The journal in SQLite: one file, one writer, one transaction and one fsync per batch."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from bridge.domain.event_topic import EventTopic, StateKey, format_state_key
from bridge.domain.records import EpochReason, JournalEntry
from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.batch_rows import replace_current, replace_retained, write_batch
from bridge.journal.sqlite.epochs import Epoch, write_epoch
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.file import (
    BUSY_SECONDS,
    create_journal,
    is_transient,
    new_epoch,
    open_connection,
    read_schema_version,
)
from bridge.journal.sqlite.lock_file import CommitMarker, JournalLock, read_marker
from bridge.journal.sqlite.migrations import migrate, require_room
from bridge.journal.sqlite.quarantine_decisions import find_decision, write_decision
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.retention import prune
from bridge.journal.sqlite.schema import MARKED_SINCE, Meta, read_meta, row_checksum, write_meta
from bridge.journal.sqlite.start_checks import check_consistency, check_marker, check_structure
from bridge.journal.sqlite.wal import WalTruncator
from bridge.ports.clock import wall_ms
from bridge.ports.journal import Batch, CommitFailed, JournalError, RetentionLimits

HOUR_MS: Final = 3_600_000  # the granularity of retention


class SqliteJournal(SqliteReader):
    """A durable stream in one file, owned by one process; every thread may read, one at a time writes."""

    def __init__(self, path: Path, *, stream: str, epoch: str, lock: JournalLock, writer: sqlite3.Connection) -> None:
        super().__init__(path, stream=stream, epoch=epoch)
        self._lock = lock
        self._writer = writer
        self._wal = WalTruncator(path, writer, busy_ms=int(BUSY_SECONDS * 1_000))
        self._write_mutex = threading.Lock()
        self._marker: CommitMarker | None = None  # of the open transaction

    @classmethod
    def open(cls, path: Path, *, stream: str) -> Self:
        """Open the journal, or create it if there is none.

        Raise `JournalError` if it is damaged, newer, another stream's or owned by another process. A journal without a
        commit marker was copied here by hand: it continues in a new epoch, as after a restore.
        """
        ownership = JournalLock.acquire(path)
        try:
            mark = read_marker(path)
            made = not path.exists()
            if made:
                create_journal(path, stream=stream, marker=mark)
            with open_connection(path, writer=True) as writer:
                schema = read_schema_version(writer, path)
                check_structure(writer, path)
                if mark is not None and schema >= MARKED_SINCE:
                    check_marker(writer, path, mark)  # before a migration, which takes long
                with require_room(writer, path, schema):
                    writer.execute("BEGIN IMMEDIATE")  # an older journal is migrated only if it then passes the checks
                    migrate(writer, path, schema)
                    check_consistency(writer, path, stream=stream, marker=mark)
                    meta = read_meta(writer, path)
                    if mark is None and schema >= MARKED_SINCE and not made:
                        meta = _begin_epoch(writer, meta, reason="restored")
                        write_meta(writer, meta)
                    writer.execute("COMMIT")
                if mark is None:
                    ownership.force_marker(CommitMarker(meta.epoch, meta.commits))
        except BaseException as error:
            ownership.close()
            if isinstance(error, sqlite3.Error):  # while creating the file
                raise JournalError(f"{path}: {error}") from error
            raise
        return cls(path, stream=stream, epoch=meta.epoch, lock=ownership, writer=writer)

    # -- writing ----------------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        with self._transaction() as (writer, meta):
            latest = meta.latest_arrival
            last_offset, last_number = meta.last_offset, meta.last_number
            for entry in batch.entries:
                self._check_order(entry, last_number, last_offset)
                last_number = entry.input.number
                last_offset += len(entry.events)
                latest = max(latest, entry.input.received_at)
            if batch.observed_until is not None and last_number:
                latest = max(latest, batch.observed_until)
            ended = (meta.latest_arrival // HOUR_MS + 1) * HOUR_MS
            if latest >= ended and meta.last_number:
                position = (ended, meta.last_number, meta.last_offset)  # all of these arrived before `ended`
                writer.execute(
                    "INSERT OR IGNORE INTO hourly_positions VALUES (?, ?, ?, ?)",
                    (*position, row_checksum(*position)),
                )
            for number in batch.quarantined_numbers:  # first: the new inputs may crowd replayed ones out
                if find_decision(writer, self.path, number) == "asked":
                    write_decision(writer, number, "replayed", wall_ms())
            write_batch(writer, batch, self.path, last_number=last_number, latest_arrival=latest)
            after = replace(
                meta,
                last_offset=last_offset,
                last_number=last_number,
                latest_arrival=latest,
                acked_up_to=meta.acked_up_to if batch.acked_up_to is None else batch.acked_up_to,
            )
            if batch.retired_keys is not None:
                replace_current(writer, {format_state_key(state_key): None for state_key in batch.retired_keys})
                after = _begin_epoch(writer, after, reason="plant")
            self._write_meta(after)
        self.epoch = after.epoch

    def mark_published(self, offset: int, *, retained: Iterable[tuple[StateKey, EventTopic | None]]) -> None:
        # with its own fsync: after a failed fsync the kernel may have dropped unsynced pages of the WAL, and a later
        # commit behind them in the file would be lost with them
        with self._transaction() as (writer, meta):
            texts = {format_state_key(key): None if topic is None else topic.text for key, topic in retained}
            replace_retained(writer, texts)
            self._write_meta(replace(meta, published_offset=offset))

    def prune(self, now: Millis, keep: RetentionLimits) -> int:
        with self._transaction() as (writer, meta):
            after = prune(writer, self.path, meta, keep, now)
            if after is None:
                return 0
            self._write_meta(after)
        return after.oldest_offset - meta.oldest_offset + after.oldest_number - meta.oldest_number

    def close(self) -> None:
        """Close every connection and release the ownership; a second call does nothing."""
        with self._write_mutex:
            super().close()
            self._writer.close()
            self._lock.close()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[sqlite3.Connection, Meta]]:
        """Yield the writer in a transaction, and the meta before it; a block that changes rows calls `_write_meta`."""
        with self._write_mutex:
            if self._closed:
                raise JournalError(f"{self.path}: closed")
            self._marker = None
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                meta = read_meta(self._writer, self.path)
                yield self._writer, meta
                self._writer.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                self._rollback()
                if is_transient(error):  # disk full, input or output error, locked
                    raise CommitFailed(str(error)) from error
                if isinstance(error, sqlite3.IntegrityError):  # a bug of ours
                    raise
                raise JournalDamaged(self.path, str(error)) from error
            except BaseException:
                self._rollback()
                raise
            if self._marker is not None:
                self._lock.write_marker(self._marker)
                self._wal.after_commit()

    def _write_meta(self, meta: Meta) -> None:
        meta = replace(meta, commits=meta.commits + 1)
        write_meta(self._writer, meta)
        self._marker = CommitMarker(meta.epoch, meta.commits)

    def _rollback(self) -> None:
        if self._writer.in_transaction:  # SQLite has already rolled back after some errors
            self._writer.execute("ROLLBACK")

    @staticmethod
    def _check_order(entry: JournalEntry, last_number: int, last_offset: int) -> None:
        """Raise `ValueError` for a gap or a repetition: it would be a bug of ours, and must not become durable."""
        offsets = [event.offset for event in entry.events]
        expected = list(range(last_offset + 1, last_offset + 1 + len(offsets)))
        if entry.input.number != last_number + 1 or offsets != expected:
            raise ValueError(
                f"input {entry.input.number} with offsets {offsets} does not follow input {last_number} "
                f"and offset {last_offset}"
            )


def _begin_epoch(writer: sqlite3.Connection, meta: Meta, *, reason: EpochReason) -> Meta:
    """Begin a new epoch inside the caller's transaction; return the meta with it."""
    meta = replace(meta, epoch=new_epoch())
    write_epoch(writer, Epoch(meta.epoch, meta.last_offset + 1, wall_ms(), reason))
    return meta
