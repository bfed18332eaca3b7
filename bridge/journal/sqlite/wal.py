"""The bound on the -wal, also while others read.

SQLite writes the -wal back every 4 MB, but begins it anew only when nobody reads from it: a long transaction holds it,
and so do readers who come so often that there is always one.
"""

import sqlite3
from pathlib import Path
from typing import Final

SIZE_LIMIT_BYTES: Final = 16 * 1024**2  # what a -wal that grew for once is cut to when it begins anew
TRUNCATE_BYTES: Final = 64 * 1024**2  # from here on the writer waits for readers, who then read past the -wal
RETRY_STEP_BYTES: Final = 16 * 1024**2  # one that waited in vain, for a backup under way, tries again so much later
TRUNCATE_WAIT_MS: Final = (
    250  # of a commit; a front's longest read, all that is current on 1,000 lines, takes half of it
)


class WalTruncator:
    """The writer's care for the -wal; no commit waits longer for it than `PATIENCE_MS`, and seldom that."""

    def __init__(self, path: Path, writer: sqlite3.Connection, *, busy_ms: int) -> None:
        self._file = path.with_name(path.name + "-wal")
        self._writer = writer
        self._busy_ms = busy_ms
        self._next = TRUNCATE_BYTES
        writer.execute(f"PRAGMA journal_size_limit={SIZE_LIMIT_BYTES}")

    def after_commit(self) -> None:
        """Begin the -wal anew where it has grown over its bound; what is committed is durable whatever comes of it."""
        try:
            size = self._file.stat().st_size
            if size >= self._next:
                self._next = TRUNCATE_BYTES if self._truncate() else size + RETRY_STEP_BYTES
        except (OSError, sqlite3.OperationalError):  # a disk that fails tells it at the next commit
            return

    def _truncate(self) -> bool:
        self._writer.execute(f"PRAGMA busy_timeout={TRUNCATE_WAIT_MS}")
        try:
            (busy, _, _) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._writer.execute(f"PRAGMA busy_timeout={self._busy_ms}")
        return not busy
