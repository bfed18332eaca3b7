"""The file of revoked users and tokens, read again whenever it changes."""

from pathlib import Path

import structlog

from bridge.domain.access.revocations import Revocations, RevocationsError
from bridge.settings.load import file_error_reason

log = structlog.get_logger(__name__)


class RevocationFile:
    """The revocations in the file now; while it can't be read, the last ones that could."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; raise `RevocationsError` if it can't be used. Without a `path` nothing is revoked."""
        self._path = path
        self._seen = self._stamp()
        self._current = self._read()

    def current(self) -> Revocations:
        """Return the revocations; the same object while the file is unchanged."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._current = self._read()
            except RevocationsError as error:
                log.error("revocations.load_failed", reason=str(error))  # noqa: TRY400 - an operator's error, not a bug
            else:
                log.info("revocations.loaded", entries=len(self._current))
        return self._current

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> Revocations:
        if self._path is None:
            return Revocations()
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise RevocationsError(f"{self._path}: {file_error_reason(error)}") from error
        return Revocations.parse(content, source=str(self._path))
