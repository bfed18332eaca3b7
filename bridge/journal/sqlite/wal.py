"""The bound on the -wal, also while others read.

SQLite checkpoints the -wal every 4 MB, but restarts it only when nobody reads from it: a long transaction prevents
that, and so do reads that always overlap.
"""

import sqlite3
from pathlib import Path
from typing import Final

SIZE_LIMIT_BYTES: Final = 16 * 1024**2  # a -wal that once grew larger is cut to this size when it restarts
TRUNCATE_BYTES: Final = 64 * 1024**2  # from here on the writer waits until readers use the database file only
RETRY_STEP_BYTES: Final = 16 * 1024**2  # growth before the next try if one fails, as during a backup
TRUNCATE_WAIT_MS: Final = 250  # per commit; a front's longest read, all current events of 1,000 lines, takes half


class WalTruncator:
    """Truncates the -wal; a commit seldom waits for it, and at most `TRUNCATE_WAIT_MS`."""

    def __init__(self, path: Path, writer: sqlite3.Connection, *, busy_ms: int) -> None:
        self._file = path.with_name(path.name + "-wal")
        self._writer = writer
        self._busy_ms = busy_ms
        self._next = TRUNCATE_BYTES
        writer.execute(f"PRAGMA journal_size_limit={SIZE_LIMIT_BYTES}")

    def after_commit(self) -> None:
        """Truncate the -wal if it has outgrown its bound; the commit is durable even if that fails."""
        try:
            size = self._file.stat().st_size
            if size >= self._next:
                self._next = TRUNCATE_BYTES if self._truncate() else size + RETRY_STEP_BYTES
        except (OSError, sqlite3.OperationalError):  # a failing disk shows at the next commit
            return

    def _truncate(self) -> bool:
        self._writer.execute(f"PRAGMA busy_timeout={TRUNCATE_WAIT_MS}")
        try:
            (busy, _, _) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._writer.execute(f"PRAGMA busy_timeout={self._busy_ms}")
        return not busy
