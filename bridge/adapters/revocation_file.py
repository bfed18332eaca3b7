"""The file of revocations: read, and written by one process at a time."""

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bridge.domain.access.revocations import Revocation, Revocations, RevocationsError, encode_list, parse_list
from bridge.settings.load import file_error_reason


def load(path: Path | None) -> Revocations:
    """Read the list, None for nothing revoked; raise `RevocationsError` if it can't be used."""
    if path is None:
        return Revocations()
    try:
        return Revocations.of(read(path))
    except OSError as error:
        raise RevocationsError(f"{path}: {file_error_reason(error)}") from error


def create(path: Path) -> None:
    """Write an empty list; raise FileExistsError if there is a file, OSError if it cannot be written."""
    with _exclusive(path.parent):
        if path.exists():
            raise FileExistsError(path)
        _write(path, [])


@contextmanager
def edit(path: Path) -> Iterator[list[Revocation]]:
    """Yield the entries, and write what the caller leaves of them, if that is valid; no other `edit` runs meanwhile.

    A kill leaves the former file or the new one. Raise RevocationsError, OSError if it cannot be read or written.
    """
    path = path.resolve()  # a link stays one
    with _exclusive(path.parent):
        entries = list(read(path))
        yield entries
        _write(path, entries)


def read(path: Path) -> Sequence[Revocation]:
    """Return the entries of the list; raise RevocationsError or OSError."""
    return parse_list(path.read_bytes(), source=str(path))


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)  # POSIX: a rename is durable once its folder is synced
    finally:
        os.close(handle)


def _write(path: Path, entries: Sequence[Revocation]) -> None:
    content = encode_list(entries)
    parse_list(content, source=str(path))  # what the bridge would refuse is not written
    former = path if path.exists() else path.parent
    status, fresh = former.stat(), path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)  # of a process that was killed
    with fresh.open("xb") as file:
        if former is path:
            os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
        if os.geteuid() == 0:  # with sudo: the bridge's user must still be able to read it
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
