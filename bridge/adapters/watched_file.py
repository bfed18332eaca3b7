"""A file that is read again and again while a process runs: what it holds now, or why it cannot be used."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bridge.settings.load import file_error_reason

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T_co]):
    """One reading of a file: its value, or the fault for which there is none; `content` None: it could not be read."""

    content: bytes | None = None
    value: T_co | None = None
    fault: str | None = None


class WatchedFile(Generic[T_co]):
    """Reads a file of at most `max_bytes`; `parse` raises ValueError for content that is not valid.

    The whole content is compared each time: two writes within one tick of the file system's clock look alike otherwise.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T_co], *, max_bytes: int) -> None:
        self.path = path
        self._parse = parse
        self._max_bytes = max_bytes
        self._latest: Reading[T_co] = Reading()

    def read(self) -> Reading[T_co]:
        """Read the file, which may block; return the same object as before while it holds the same."""
        try:
            content = self._read_content()
        except OSError as error:
            faulty: Reading[T_co] = Reading(fault=file_error_reason(error))
            if faulty != self._latest:
                self._latest = faulty
            return self._latest
        if content != self._latest.content:
            try:
                self._latest = Reading(content, self._parse(content))
            except ValueError as error:
                self._latest = Reading(content, fault=str(error))
        return self._latest

    def _read_content(self) -> bytes:
        # Without waiting for the writer of a pipe, and only a regular file: other kinds may block, or never end.
        handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(None, "not a regular file")
            content = file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise OSError(None, f"larger than {self._max_bytes} bytes")
        return content
