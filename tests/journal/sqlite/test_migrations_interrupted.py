"""Migrations that are killed or have no room."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.journal.tools.verify import verify_journal
from tests.faults.failing_disk import cannot_trace
from tests.journal.sqlite.older_journals import ROOT, content, require_continues, schema_3_journal
from tests.support.journal_samples import (
    NOON,
)

KILLED_BEFORE_STATEMENT = """
import os, signal, sys
from pathlib import Path
from bridge.journal.sqlite import writer

def kill_before_statement(connection, path, schema):
    left = int(sys.argv[2])
    def count(statement):
        nonlocal left
        left -= 1
        if left == 0 or statement == "COMMIT":
            os.kill(os.getpid(), signal.SIGKILL)
    connection.set_trace_callback(count)
    migrate(connection, path, schema)

migrate, writer.migrate = writer.migrate, kill_before_statement
writer.SqliteJournal.open(Path(sys.argv[1]), stream="main")
"""
NEVER = 0  # but before COMMIT


@pytest.mark.parametrize("statement", [1, 2, 40, 80, NEVER])
def test_journal_killed_in_the_middle_of_its_migration_is_migrated_at_the_next_start(
    older: Path, statement: int
) -> None:
    before = content(older)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_STATEMENT, str(older), str(statement)], cwd=ROOT, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert content(older) == before
    require_continues(older)


MANY = 40_000  # inputs; more than SQLite's cache holds, so that the -wal has pages of the open transaction


def many_inputs(path: Path) -> Path:
    """Make a journal of schema 3 that takes a while to migrate."""
    return schema_3_journal(
        path,
        "WITH RECURSIVE n(i) AS (SELECT last_number + 1 FROM meta UNION ALL SELECT i + 1 FROM n, meta "
        f"WHERE i < last_number + {MANY}) INSERT INTO inputs SELECT i, 'report/plant/packing/bagger-1/plc/counts', "
        f"zeroblob(80), {NOON}, 0, 0, 'applied', NULL, 0, 1, 0, 0, 0 FROM n",
        "UPDATE inputs SET seal = repr_checksum(number, topic, payload, received_at, retained, redelivered, effect, "
        "reason, rejected, reached_core, first_offset, event_count) WHERE seal = 0",
        f"UPDATE counters SET count = count + {MANY} WHERE (kind, effect) = ('counts', 'applied')",
        "UPDATE counters SET seal = repr_checksum(kind, effect, reason, count)",
        f"UPDATE meta SET last_number = last_number + {MANY}",
        "UPDATE meta SET seal = repr_checksum(one, epoch, stream, created, last_offset, last_number, latest_arrival, "
        "published, settled, oldest_offset, oldest_number, whole_after, commits)",
    )


def test_journal_killed_with_a_half_written_wal_is_migrated_at_the_next_start(tmp_path: Path) -> None:
    path = many_inputs(tmp_path / "journal.db")
    before = content(path)
    program = "import sys; from pathlib import Path; from bridge.journal.sqlite.writer import SqliteJournal\n"
    program += "SqliteJournal.open(Path(sys.argv[1]), stream='main')"
    wal = path.with_name("journal.db-wal")
    with subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT) as migrating:
        while not (wal.exists() and wal.stat().st_size > 1_000_000):
            assert migrating.poll() is None, "it ended before it was killed"
            time.sleep(0.001)
        migrating.kill()
    assert content(path) == before
    require_continues(path)
    assert verify_journal(path).is_intact


def test_migration_without_space_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """strace answers the writes to the -wal as a full disk does."""
    path = many_inputs(tmp_path / "journal.db")
    before = content(path)
    strace = shutil.which("strace")
    assert strace is not None, "no strace found: install the package `strace`"
    program = "import sys; from pathlib import Path; from bridge.journal.sqlite.writer import SqliteJournal\n"
    program += "SqliteJournal.open(Path(sys.argv[1]), stream='main')"
    ended = subprocess.run(
        [strace, "-f", "-o", str(tmp_path / "strace.log"), "-e", "trace=pwrite64", "-e",
         "inject=pwrite64:error=ENOSPC:when=900+", sys.executable, "-c", program, str(path)],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if "Operation not permitted" in ended.stderr:
        cannot_trace(ended.stderr)
    assert "NoRoomToMigrate" in ended.stderr
    assert "no room on the disk to migrate from schema 3 to 4" in ended.stderr
    wal = path.with_name("journal.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0, "the disk has its room back"
    assert content(path) == before
    require_continues(path)
