"""Restore of a backup as the journal, in a new epoch; the old files are renamed, never deleted.

At no moment is there an incomplete journal under the name that a bridge would open. First the copy is completed beside
it. Then the commit marker is set to the new epoch, which the old file doesn't know: from here to the end a start is
refused, and the same command completes the restore. Then the old files get their second names, then the copy gets the
journal's name.
"""

import fcntl
import itertools
import os
import shutil
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bridge.journal.sqlite.errors import JournalTooOld, StreamMismatch
from bridge.journal.sqlite.file import SHARED_FIRST, SHARED_SIZE, open_connection, read_schema_version, sync_directory
from bridge.journal.sqlite.lock_file import CommitMarker, JournalLock, lock_path, read_marker
from bridge.journal.sqlite.migrations import migrate, require_room
from bridge.journal.sqlite.schema import require_meta_row
from bridge.journal.sqlite.start_checks import check_consistency, check_structure
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.backup import (
    VerificationFailed,
    copy_journal,
    ignore_progress,
    lock_partial_file,
    move_into_place,
)
from bridge.journal.tools.read_only import (
    JournalSummary,
    is_same_file,
    journal_beside,
    open_read_only,
    read_summary,
    sidecar_path,
)
from bridge.journal.tools.verify import ProgressCallback, VerificationResult, verify_journal
from bridge.ports.journal import JournalError

FILE_SUFFIXES = ("", "-wal", "-shm")
READER_SECONDS = 2.0  # a front in a process of its own checks now and then whether its pipeline is back


class RestoreRefused(JournalError):
    """Nothing was restored; the journal is unchanged."""


@dataclass(frozen=True, slots=True)
class RestoredJournal:
    """The restored journal, and the new paths of the files that it replaced."""

    summary: JournalSummary
    replaced_files: Sequence[Path]


def restore_journal(
    backup: Path,
    path: Path,
    *,
    stream: str | None = None,
    replace: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> RestoredJournal:
    """Make a backup the journal at `path`, in a new epoch; the backup is not changed.

    Without `replace` there must be no journal yet. `stream`: the stream that the backup must hold (None: any). Raise
    `JournalInUse`, `RestoreRefused`, `BackupRefused`, `VerificationFailed`, `StreamMismatch`, `NoJournal`,
    `JournalTooNew`.
    """
    old = [sidecar_path(path, part) for part in FILE_SUFFIXES if sidecar_path(path, part).exists()]
    if old and not replace:
        raise RestoreRefused(f"{old[0]}: there is a journal; --replace moves it aside and keeps it")
    if (beside := journal_beside(path)) is not None:
        raise RestoreRefused(f"{path}: is a file of the journal {beside}")
    if is_same_file(backup, path):
        raise RestoreRefused(f"{backup}: is the journal itself")
    unfinished = sidecar_path(path, ".restoring")
    if is_same_file(backup, unfinished):
        raise RestoreRefused(f"{backup}: a restore overwrites this file; rename it first")
    with (
        closing(JournalLock.acquire(path)) as ownership,
        _exclude_readers(path),
        lock_partial_file(unfinished) as partial,
    ):
        _remove_leftovers(partial)
        try:
            copy_journal(backup, partial, progress=progress)
            _require_intact(backup, partial, stream=stream, progress=progress)
            facts = _open_in_new_epoch(partial)
            partial.chmod((path if path.exists() else backup).stat().st_mode & 0o777)
            _copy_file_owner(path, partial)
            replaced = _replace_journal(partial, path, ownership, CommitMarker(facts.meta.epoch, facts.meta.commits))
        except BaseException:
            _remove_leftovers(partial)
            raise
        return RestoredJournal(facts, replaced)


def _replace_journal(partial: Path, path: Path, lock: JournalLock, marker: CommitMarker) -> Sequence[Path]:
    """Put the finished copy in the old file's place; return the new paths of the old files."""
    before = read_marker(path)
    lock.force_marker(marker)
    try:
        set_aside = _rename_old_files(path)
    except RestoreRefused:
        lock.force_marker(before)
        raise
    for part in FILE_SUFFIXES[1:]:  # SQLite would apply an old -wal to the new file
        sidecar_path(path, part).unlink(missing_ok=True)
    sync_directory(path.parent)
    move_into_place(partial, path)
    return set_aside


@contextmanager
def _exclude_readers(path: Path) -> Iterator[None]:
    """Keep other processes off the old file: the last one to close it would delete the new file's -wal by name."""
    if not path.exists() or not hasattr(fcntl, "F_OFD_SETLK"):
        yield
        return
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError as error:
        raise RestoreRefused(f"{path}: {error.strerror}") from error
    try:
        lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, SHARED_FIRST, SHARED_SIZE, 0)
        deadline = time.monotonic() + READER_SECONDS
        while not _locked(handle, lock):
            if time.monotonic() >= deadline:
                raise RestoreRefused(f"{path}: another process reads this journal; stop it first")
            time.sleep(READER_SECONDS / 100)
        yield
    finally:
        os.close(handle)


def _locked(handle: int, lock: bytes) -> bool:
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, lock)
    except OSError:
        return False
    return True


def _remove_leftovers(partial: Path) -> None:
    """Remove the files that SQLite, or a restore that was killed, left beside the copy."""
    for suffix in ("-wal", "-shm", ".lock"):
        sidecar_path(partial, suffix).unlink(missing_ok=True)


def _require_intact(backup: Path, partial: Path, *, stream: str | None, progress: ProgressCallback) -> None:
    try:
        verdict = verify_journal(partial, progress=progress)
    except JournalTooOld:  # made by an older version: migrated first, which raises on damage
        _migrate(partial)
        _remove_leftovers(partial)
        verdict = verify_journal(partial, progress=progress)
    if not verdict.is_intact:
        raise VerificationFailed(VerificationResult(backup, verdict.summary, verdict.parts))
    assert verdict.summary is not None
    held_stream = verdict.summary.meta.stream
    if stream is not None and held_stream != stream:
        raise StreamMismatch(backup, expected=stream, found=held_stream)


def _migrate(partial: Path) -> None:
    """Migrate the copy to this version's schema in its old epoch: a restore begins one new epoch, not two."""
    with open_connection(partial, writer=True) as writer:
        (stream,) = require_meta_row(writer.execute("SELECT stream FROM meta").fetchone(), partial)
        schema = read_schema_version(writer, partial)
        check_structure(writer, partial)
        with require_room(writer, partial, schema):
            writer.execute("BEGIN IMMEDIATE")
            migrate(writer, partial, schema)
            check_consistency(writer, partial, stream=stream, marker=None)
            writer.execute("COMMIT")
        writer.close()


def _open_in_new_epoch(partial: Path) -> JournalSummary:
    with closing(open_read_only(partial)) as connection:
        stream = read_summary(connection, partial).meta.stream
    SqliteJournal.open(partial, stream=stream).close()  # without a commit marker it begins a new epoch
    _remove_leftovers(partial)
    with closing(open_read_only(partial)) as connection:
        return read_summary(connection, partial)


def _rename_old_files(path: Path) -> Sequence[Path]:
    """Give the old files second names, all or none, and return these; raise `RestoreRefused` on failure."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f".replaced-{stamp}" + (f"-{count}" if count else "") for count in itertools.count())
    suffix = next(name for name in names if not any(sidecar_path(path, name + part).exists() for part in FILE_SUFFIXES))
    made: list[Path] = []
    try:
        for part in FILE_SUFFIXES:
            if sidecar_path(path, part).exists():
                made.append(sidecar_path(path, suffix + part))
                _link_or_copy(sidecar_path(path, part), made[-1])
        sync_directory(path.parent)
    except OSError as error:
        for link in made:
            link.unlink(missing_ok=True)
        raise RestoreRefused(f"{path} cannot be kept aside: {error.strerror}") from error
    return made


def _copy_file_owner(path: Path, partial: Path) -> None:
    """Give the copy and the lock file the owner of the old file, or else of its folder, if run as root."""
    if os.geteuid() != 0:
        return
    like = (path if path.exists() else path.parent).stat()
    for file in (partial, lock_path(path)):
        os.chown(file, like.st_uid, like.st_gid)


def _link_or_copy(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a file system without hard links
        shutil.copy2(old, new)
