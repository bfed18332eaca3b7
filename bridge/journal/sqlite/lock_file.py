"""The lock file of a journal: its ownership, and a marker with the number of commits that the journal must hold.

SQLite treats what follows a bad frame of the -wal as the rest of an older one, and a deleted -wal as empty: both lose
commits silently. So after each commit the owner writes the marker into the lock file, without an fsync. The marker is
never ahead of the journal: a power loss that reverts it can't raise a false alarm, and a kill between commit and marker
leaves it one behind.
"""

import fcntl
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bridge.journal.sqlite.errors import JournalInUse
from bridge.ports.journal import JournalError

MARKER_BYTES: Final = 128  # a marker fits in one disk sector, so it is written whole or not at all


@dataclass(frozen=True, slots=True)
class CommitMarker:
    """Last recorded epoch of the journal, and the count of its owner's commits then."""

    epoch: str
    commits: int

    def encode(self) -> bytes:
        text = f"{self.epoch} {self.commits}"
        return f"{text} {zlib.crc32(text.encode()):08x}\n".encode().ljust(MARKER_BYTES)

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """Return the marker; None if there is none: an older version's file, or one lost in a power loss."""
        match data.decode(errors="replace").split():
            case [epoch, commits, check] if check == f"{zlib.crc32(f'{epoch} {commits}'.encode()):08x}":
                return cls(epoch, int(commits))
            case _:
                return None


def lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def read_marker(path: Path) -> CommitMarker | None:
    """Return the marker of the journal at `path`, whether or not a process owns it; None if there is none."""
    try:
        with lock_path(path).open("rb") as file:
            return CommitMarker.decode(file.read(MARKER_BYTES))
    except OSError:  # no owner yet, or another user's: then its journal is not accessible either
        return None


class JournalLock:
    """The exclusive right to write a journal; this process holds it until `close`, or until it ends in any way."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def acquire(cls, path: Path) -> "JournalLock":
        """Become the only owner of the journal at `path`, existing or not; raise `JournalInUse` or `JournalError`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"{path}: cannot open a journal there: {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                raise JournalInUse(path) from None
            raise JournalError(f"{path}: cannot open a journal there: {error}") from error
        return cls(path, handle)

    def write_marker(self, marker: CommitMarker) -> None:
        """Record a durable commit. If the write fails the older marker remains, which claims less."""
        try:
            os.pwrite(self._handle, marker.encode(), 0)
        except OSError:
            return

    def force_marker(self, marker: CommitMarker | None) -> None:
        """Make a start refuse every file at this path but the one of this marker; durable on return.

        A restore calls this just before it moves that file in. It also marks a journal that has no marker yet, so that
        a power loss does not make it look like a copy later. None: any file is accepted. Raise `JournalError`.
        """
        try:
            os.pwrite(self._handle, marker.encode() if marker else b" " * MARKER_BYTES, 0)
            os.fsync(self._handle)
        except OSError as error:
            raise JournalError(f"{lock_path(self.path)}: {error.strerror}") from error

    def close(self) -> None:
        """Release the ownership; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
