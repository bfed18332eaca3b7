"""What an operator decides about quarantined inputs, written into a journal that a running bridge may own."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final

from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.file import connect, is_transient
from bridge.journal.sqlite.quarantine_decisions import find_decision, write_decision
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.rows import QUARANTINE_BYTES
from bridge.journal.sqlite.schema import wall_ms
from bridge.ports.journal import CommitFailed

IS_QUARANTINED: Final = "SELECT 1 FROM inputs WHERE number = ? AND effect = 'quarantined'"
# whole payloads; a cut one would be another message
IS_REPLAYABLE: Final = """
SELECT 1 FROM inputs LEFT JOIN quarantine USING (number)
WHERE number = ? AND effect = 'quarantined' AND (reached_core OR length(quarantine.payload) < ?)
"""


class SqliteQuarantineWriter(SqliteReader):
    """A reader of a journal that may note what is to become of quarantined inputs.

    Each note is one short transaction, for which the owner's own writing waits.
    """

    def request_replays(self, numbers: Iterable[int]) -> Sequence[int]:
        """Ask the bridge to take these inputs in again; returns those it will.

        The others were never quarantined, are handled already, or are not held whole: a payload of `QUARANTINE_BYTES`
        and more was cut, and the oldest payloads go when newer ones crowd them out. Raises `CommitFailed`.
        """
        at = wall_ms()
        asked = []
        with self._write_transaction() as writer:
            for number in numbers:
                whole = writer.execute(IS_REPLAYABLE, (number, QUARANTINE_BYTES)).fetchone() is not None
                if whole and find_decision(writer, self.path, number) is None:
                    write_decision(writer, number, "asked", at)
                    asked.append(number)
        return asked

    def drop_payloads(self, numbers: Iterable[int]) -> Sequence[int]:
        """Let go of these inputs' payloads, and of a replay that was asked; returns those that were quarantined.

        What was replayed stays so. An input that reached the core keeps its payload: the replay at start needs it.
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
