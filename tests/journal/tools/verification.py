"""Changes to a journal, and the faults that its verification finds."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bridge.journal.sqlite.schema import row_checksum
from bridge.journal.tools.verify import VerificationResult


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.create_function("checksum", -1, row_checksum)
        for statement in statements:
            connection.execute(statement)


def faults(verdict: VerificationResult) -> str:
    return "\n".join(f"{part.name}: {fault}" for part in verdict.parts for fault in part.faults)
