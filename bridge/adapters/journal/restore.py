"""A backup put back as the journal, in a new epoch; what was there is moved aside, never deleted.

At no moment is there a half journal under the name that a bridge would take. First the copy is finished beside it. Then
the owner's mark is set to the new epoch, which the old file doesn't know: from here to the end a start is refused, and
the same command finishes the work. Then the old files get their second names, then the copy gets its own.
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

from bridge.adapters.journal.backup import NotWhole, copy, draft, nothing_shown, put
from bridge.adapters.journal.checks import check_ends, check_structure
from bridge.adapters.journal.errors import JournalTooOld, StreamMismatch
from bridge.adapters.journal.facts import Facts, read_facts, reading, side_file
from bridge.adapters.journal.file import SHARED_FIRST, SHARED_SIZE, opening, schema_of, sync_folder
from bridge.adapters.journal.mark import Mark, Ownership, lock_path, read_mark
from bridge.adapters.journal.schema import migrate
from bridge.adapters.journal.verify import Progress, Verdict, verify
from bridge.adapters.journal.writing import SqliteJournal
from bridge.core.records import JournalError

PARTS = ("", "-wal", "-shm")
READER_SECONDS = 2.0  # a front apart looks now and then whether its pipeline is back


class RestoreRefused(JournalError):
    """Nothing was restored, and the journal is as it was."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What is the journal now, and the names under which the one before lies."""

    facts: Facts
    set_aside: Sequence[Path]


def restore(
    backup: Path, path: Path, *, stream: str | None = None, replace: bool = False, progress: Progress = nothing_shown
) -> Restored:
    """Make a backup the journal at `path`, in a new epoch; the backup stays as it is.

    Without `replace` there must be no journal yet. `stream`: what the backup must be of (None: whatever it says).
    Raises `JournalInUse`, `RestoreRefused`, `NotWhole`, `StreamMismatch`, `NoJournal`, `JournalTooNew`.
    """
    old = [side_file(path, part) for part in PARTS if side_file(path, part).exists()]
    if old and not replace:
        raise RestoreRefused(f"{old[0]}: there is a journal; --replace moves it aside and keeps it")
    if path.exists() and backup.exists() and backup.samefile(path):
        raise RestoreRefused(f"{backup}: is the journal itself")
    with closing(Ownership.take(path)) as ownership, _alone(path), draft(side_file(path, ".restoring")) as partial:
        _clear(partial)
        copy(backup, partial, progress=progress)
        _require_whole(backup, partial, stream=stream, progress=progress)
        facts = _begin_epoch(partial)
        partial.chmod((path if path.exists() else backup).stat().st_mode & 0o777)
        _give_to_the_owner(path, partial)
        return Restored(facts, _swap(partial, path, ownership, Mark(facts.meta.epoch, facts.meta.commits)))


def _swap(partial: Path, path: Path, ownership: Ownership, mark: Mark) -> Sequence[Path]:
    """Put the finished copy in the old file's place; returns where the old ones are."""
    before = read_mark(path)
    ownership.expect(mark)
    try:
        set_aside = _set_aside(path)
    except RestoreRefused:
        ownership.expect(before)
        raise
    for part in PARTS[1:]:  # a new file beside the old -wal would be taken for the old file
        side_file(path, part).unlink(missing_ok=True)
    sync_folder(path.parent)
    put(partial, path)
    return set_aside


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes off the old file: SQLite's last one to leave it would delete the new file's -wal by name."""
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


def _clear(partial: Path) -> None:
    """Remove what a restore that was killed left beside its copy."""
    for suffix in ("-wal", "-shm", ".lock"):
        side_file(partial, suffix).unlink(missing_ok=True)


def _require_whole(backup: Path, partial: Path, *, stream: str | None, progress: Progress) -> None:
    try:
        verdict = verify(partial, progress=progress)
    except JournalTooOld:  # made by an older version: brought up to date first, which says of itself what is wrong
        _migrate(partial)
        _clear(partial)
        verdict = verify(partial, progress=progress)
    if not verdict.whole:
        raise NotWhole(Verdict(backup, verdict.facts, verdict.parts))
    assert verdict.facts is not None
    found = verdict.facts.meta.stream
    if stream is not None and found != stream:
        raise StreamMismatch(backup, expected=stream, found=found)


def _migrate(partial: Path) -> None:
    """Bring a copy to this version's schema, still in its epoch: the restored journal begins one, and not two."""
    with opening(partial, writer=True) as writer:
        (stream,) = writer.execute("SELECT stream FROM meta").fetchone()
        schema = schema_of(writer, partial)
        check_structure(writer, partial)
        writer.execute("BEGIN IMMEDIATE")
        migrate(writer, schema)
        check_ends(writer, partial, stream=stream, mark=None)
        writer.execute("COMMIT")
        writer.close()


def _begin_epoch(partial: Path) -> Facts:
    with closing(reading(partial)) as connection:
        stream = read_facts(connection, partial).meta.stream
    SqliteJournal.open(partial, stream=stream).close()  # no owner has marked it, so it begins one
    _clear(partial)
    with closing(reading(partial)) as connection:
        return read_facts(connection, partial)


def _set_aside(path: Path) -> Sequence[Path]:
    """Give the old files second names, all of them or, with `RestoreRefused`, none; returns these."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f".replaced-{stamp}" + (f"-{count}" if count else "") for count in itertools.count())
    aside = next(name for name in names if not any(side_file(path, name + part).exists() for part in PARTS))
    made: list[Path] = []
    try:
        for part in PARTS:
            if side_file(path, part).exists():
                made.append(side_file(path, aside + part))
                _second_name(side_file(path, part), made[-1])
        sync_folder(path.parent)
    except OSError as error:
        for each in made:
            each.unlink(missing_ok=True)
        raise RestoreRefused(f"{path} cannot be kept aside: {error.strerror}") from error
    return made


def _give_to_the_owner(path: Path, partial: Path) -> None:
    """Let an administrator's restore be of the user as whom the bridge runs: of the old file, else of its folder."""
    if os.geteuid() != 0:
        return
    like = (path if path.exists() else path.parent).stat()
    for each in (partial, lock_path(path)):
        os.chown(each, like.st_uid, like.st_gid)


def _second_name(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a file system without second names
        shutil.copy2(old, new)
