"""What an operator decides about quarantined inputs, written into a journal that a running bridge may own."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager

from bridge.adapters.journal.errors import JournalDamaged
from bridge.adapters.journal.file import connect, may_pass
from bridge.adapters.journal.reading import SqliteReader
from bridge.adapters.journal.rows import QUARANTINE_BYTES
from bridge.adapters.journal.schema import wall_ms
from bridge.core.records import CommitFailed

# whole payloads that nobody has decided about; a cut one would be another message
MAY_BE_ASKED = """
INSERT OR IGNORE INTO handled
SELECT number, 'asked', ? FROM inputs LEFT JOIN quarantine USING (number)
WHERE number = ? AND effect = 'quarantined' AND (reached_core OR length(quarantine.payload) < ?)
"""
MAY_BE_DROPPED = """
INSERT INTO handled SELECT number, 'dropped', ? FROM inputs WHERE number = ? AND effect = 'quarantined'
ON CONFLICT (number) DO UPDATE SET action = 'dropped', at = excluded.at WHERE action = 'asked'
"""


class SqliteQuarantine(SqliteReader):
    """A reader of a journal that may note what is to become of quarantined inputs.

    Each note is one short transaction, for which the owner's own writing waits.
    """

    def ask_replay(self, numbers: Iterable[int]) -> Sequence[int]:
        """Ask the bridge to take these inputs in again; returns those it will.

        The others were never quarantined, are handled already, or are not held whole: a payload of `QUARANTINE_BYTES`
        and more was cut, and the oldest payloads go when newer ones crowd them out. Raises `CommitFailed`.
        """
        at = wall_ms()
        with self._deciding() as writer:
            return [
                number
                for number in numbers
                if writer.execute(MAY_BE_ASKED, (at, number, QUARANTINE_BYTES)).rowcount == 1
            ]

    def drop_quarantined(self, numbers: Iterable[int]) -> Sequence[int]:
        """Let go of these inputs' payloads, and of a replay that was asked; returns those that were quarantined.

        What was replayed stays so. An input that reached the core keeps its payload: the replay at start needs it.
        """
        at = wall_ms()
        with self._deciding() as writer:
            dropped = [n for n in numbers if writer.execute(MAY_BE_DROPPED, (at, n)).rowcount == 1]
            writer.executemany("DELETE FROM quarantine WHERE number = ?", [(number,) for number in dropped])
            return dropped

    @contextmanager
    def _deciding(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(connect(self.path, writer=True)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                yield writer
                writer.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if may_pass(error):
                raise CommitFailed(str(error)) from error
            raise JournalDamaged(self.path, str(error)) from error
