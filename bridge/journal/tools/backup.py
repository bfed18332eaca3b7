"""Backup of a journal while its bridge runs: complete under its name, or not there.

SQLite's backup API copies inside one read transaction, so the copy is of one moment however much is committed
meanwhile. Without the transaction every commit would restart the copy.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from bridge.journal.sqlite.file import sync_directory
from bridge.journal.tools.read_only import (
    check_schema,
    has_been_run,
    is_journal_file,
    journal_beside,
    open_read_only,
    sidecar_path,
    translate_read_errors,
)
from bridge.journal.tools.verify import ProgressCallback, VerificationResult, verify_journal
from bridge.ports.journal import JournalError

STEP_PAGES: Final = 2_500  # 10 MiB between two calls of `progress`


class BackupRefused(JournalError):
    """No backup was made; what was at the target is unchanged."""


class VerificationFailed(JournalError):
    """The copy is damaged, so it was not put in place."""

    def __init__(self, result: VerificationResult) -> None:
        first = next(f"{part.name}: {part.faults[0]}" for part in result.parts if part.faults)
        super().__init__(f"{result.path} is not whole ({first}): `floor journal verify` says more")
        self.result = result


def ignore_progress(_part: str, _done: int, _of: int) -> None:
    """Ignore the progress of a verification or a copy."""


def back_up(
    path: Path, target: Path, *, replace: bool = False, progress: ProgressCallback = ignore_progress
) -> VerificationResult:
    """Copy the journal at `path` to `target`, verified and durable; safe while the bridge runs.

    The target is replaced atomically at the very end, or not at all. Raise `VerificationFailed`, `NoJournal` and
    `BackupRefused` (the target exists and `replace` is not given, or it belongs to a journal; no room, no access).
    """
    unfinished = sidecar_path(target, ".partial")
    beside = journal_beside(target)
    if beside is not None or is_journal_file(target, path) or is_journal_file(unfinished, path):
        raise BackupRefused(f"{target}: is a file of the journal {beside or path}; choose another name")
    if has_been_run(target):  # perhaps it runs now; and SQLite would apply the old -wal to the copy
        raise BackupRefused(f"{target}: is a journal in use, with a -wal or .lock; choose another name")
    if target.exists() and (not replace or not target.is_file()):
        raise BackupRefused(
            f"{target}: already exists" + (" and cannot be overwritten" if replace else "; --force overwrites it")
        )
    with closing(open_read_only(path)) as source, translate_read_errors(path):
        check_schema(source, path)  # the verification below would name the copy
    with lock_partial_file(unfinished) as partial:
        copy_journal(path, partial, progress=progress)
        verdict = verify_journal(partial, progress=progress)
        verdict = VerificationResult(path, verdict.summary, verdict.parts)
        if not verdict.is_intact:
            raise VerificationFailed(verdict)
        partial.chmod(path.stat().st_mode & 0o777)
        if target.exists() and not replace:
            raise BackupRefused(f"{target}: appeared meanwhile; --force overwrites it")
        move_into_place(partial, target)
    return verdict


@contextmanager
def lock_partial_file(partial: Path) -> Iterator[Path]:
    """Yield an empty file that only this process writes; remove it if the block fails."""
    if not partial.parent.is_dir():
        raise BackupRefused(f"{partial.parent}: no such folder")
    try:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackupRefused(f"{partial}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused(f"{partial}: another process is writing it") from None
        except OSError as error:
            raise BackupRefused(f"{partial}: {error.strerror}") from error
        os.ftruncate(handle, 0)  # left by a backup that was killed
        try:
            yield partial
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    finally:
        os.close(handle)


def copy_journal(path: Path, partial: Path, *, progress: ProgressCallback) -> None:
    """Copy a journal as of one moment, its -wal included, into an empty file."""
    with closing(open_read_only(path)) as source:
        with translate_read_errors(path):
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        try:
            with closing(sqlite3.connect(partial, isolation_level=None)) as target:
                target.execute("PRAGMA journal_mode=OFF")  # an incomplete copy is deleted, not rolled back
                target.execute("PRAGMA synchronous=OFF")  # synced once, by `move_into_place`
                source.backup(target, pages=STEP_PAGES, progress=lambda _, left, of: progress("copy", of - left, of))
        except sqlite3.Error as error:
            raise BackupRefused(f"{path} cannot be copied to {partial}: {error}") from error
        with suppress(sqlite3.Error):
            source.execute("ROLLBACK")


def move_into_place(partial: Path, target: Path) -> None:
    """Rename a finished file to its final name, durably; raise `BackupRefused` if that fails."""
    try:
        handle = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        partial.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        raise BackupRefused(f"{target}: {error.strerror}") from error
