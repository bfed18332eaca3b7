"""Operators' decisions about quarantined inputs, written into a journal that a running bridge may own."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final

from bridge.journal.sqlite.batch_rows import QUARANTINE_BYTES
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.file import connect, is_transient
from bridge.journal.sqlite.quarantine_decisions import find_decision, write_decision
from bridge.journal.sqlite.reader import SqliteReader
from bridge.ports.clock import wall_ms
from bridge.ports.journal import CommitFailed

IS_QUARANTINED: Final = "SELECT 1 FROM inputs WHERE number = ? AND effect = 'quarantined'"
# whole payloads; a truncated one would be another message
IS_REPLAYABLE: Final = """
SELECT 1 FROM inputs LEFT JOIN quarantine USING (number)
WHERE number = ? AND effect = 'quarantined' AND (reached_core OR length(quarantine.payload) < ?)
"""


class SqliteQuarantineWriter(SqliteReader):
    """A reader of a journal that may also record decisions about quarantined inputs.

    Each call is one short transaction, for which the owner's writes wait.
    """

    def request_replays(self, numbers: Iterable[int]) -> Sequence[int]:
        """Request that the bridge replays these inputs; return those that it will.

        The others were never quarantined, are already decided about, or are not held whole: a payload of
        `QUARANTINE_BYTES` and more was truncated, and newer payloads crowd out the oldest. Raise `CommitFailed`.
        """
        at = wall_ms()
        requested = []
        with self._write_transaction() as writer:
            for number in numbers:
                whole = writer.execute(IS_REPLAYABLE, (number, QUARANTINE_BYTES)).fetchone() is not None
                if whole and find_decision(writer, self.path, number) is None:
                    write_decision(writer, number, "asked", at)
                    requested.append(number)
        return requested

    def drop_payloads(self, numbers: Iterable[int]) -> Sequence[int]:
        """Drop these quarantined inputs' payloads and any replay requested; return the numbers dropped.

        A replayed input stays replayed. An input that reached the core keeps its payload: the replay at start needs it.
        """
        at = wall_ms()
        dropped = []
        with self._write_transaction() as writer:
            for number in numbers:
                quarantined = writer.execute(IS_QUARANTINED, (number,)).fetchone() is not None
                if quarantined and find_decision(writer, self.path, number) in (None, "asked"):
                    write_decision(writer, number, "dropped", at)
                    dropped.append(number)
            writer.executemany("DELETE FROM quarantine WHERE number = ?", [(number,) for number in dropped])
        return dropped

    @contextmanager
    def _write_transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(connect(self.path, writer=True)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                yield writer
                writer.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if is_transient(error):
                raise CommitFailed(str(error)) from error
            raise JournalDamaged(self.path, str(error)) from error
