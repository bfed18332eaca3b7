"""The owner of a journal, and its mark: how many commits the journal must hold, said in a second place.

SQLite takes what follows a bad frame of the -wal for the rest of an older one, and a deleted -wal for an empty one:
both take commits away without a word. So the owner notes each commit in the lock file, after it, without an fsync.
The note is never ahead of the journal: a power loss that takes it back can't raise a false alarm, and a kill
between the two leaves it one behind.
"""

import fcntl
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bridge.journal.sqlite.errors import JournalInUse
from bridge.ports.journal import JournalError

MARKER_BYTES: Final = 128  # a whole mark fits in a disk's sector, so it is there whole or not at all


@dataclass(frozen=True, slots=True)
class CommitMarker:
    """What the journal is known to have held: its epoch then, and the count of its owner's commits."""

    epoch: str
    commits: int

    def encode(self) -> bytes:
        text = f"{self.epoch} {self.commits}"
        return f"{text} {zlib.crc32(text.encode()):08x}\n".encode().ljust(MARKER_BYTES)

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """Return the mark, None where there is none: of an older version, or not written out before a power loss."""
        match data.decode(errors="replace").split():
            case [epoch, commits, check] if check == f"{zlib.crc32(f'{epoch} {commits}'.encode()):08x}":
                return cls(epoch, int(commits))
            case _:
                return None


def lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def read_marker(path: Path) -> CommitMarker | None:
    """Return the mark of the journal at `path`, whoever owns it."""
    try:
        with lock_path(path).open("rb") as file:
            return CommitMarker.decode(file.read(MARKER_BYTES))
    except OSError:  # no owner yet, or one of another user: then its journal is not to be had either
        return None


class JournalLock:
    """The right to write a journal: this process has it until `close`, or until it ends, however it ends."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    @classmethod
    def acquire(cls, path: Path) -> "JournalLock":
        """Become the one owner of the journal at `path`, whether it exists or not; raises `JournalInUse`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"{path}: no journal can be kept there: {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                raise JournalInUse(path) from None
            raise JournalError(f"{path}: no journal can be kept there: {error}") from error
        return cls(path, handle)

    def write_marker(self, marker: CommitMarker) -> None:
        """Note a commit that is durable. Where it can't be noted the older note stands, which claims less."""
        try:
            os.pwrite(self._handle, marker.encode(), 0)
        except OSError:
            return

    def force_marker(self, marker: CommitMarker | None) -> None:
        """Refuse every file at this place but one of this mark, durably when it returns.

        For a restore, just before it moves that one in; and for a journal that has no mark yet, which no power loss is
        to take for a copy later. None: any file will do.
        """
        try:
            os.pwrite(self._handle, marker.encode() if marker else b" " * MARKER_BYTES, 0)
            os.fsync(self._handle)
        except OSError as error:
            raise JournalError(f"{lock_path(self.path)}: {error.strerror}") from error

    def close(self) -> None:
        """Give up the ownership; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
