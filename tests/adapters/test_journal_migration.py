"""A journal of an older version opens and goes on; the file it begins with was written by that version."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.adapters.journal import checks
from bridge.adapters.journal.schema import SCHEMA
from bridge.adapters.journal.writing import JournalDamaged, JournalTooOld, SqliteJournal, SqliteReader
from bridge.core.events import Standing
from bridge.core.records import Batch, Checkpoint, CommandRecord, Resend
from bridge.core.reports import quarantined
from tests.journal_samples import NOON, event, follow, make_schema_1

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    make_schema_1(path)
    return path


def content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump(), str(connection.execute("PRAGMA user_version").fetchone())]


def test_journal_of_schema_1_holds_what_it_held(path: Path) -> None:
    journal = SqliteJournal.open(path, stream="main")
    assert journal.epoch == "0123456789abcdef"
    assert journal.position().offset == 5
    assert journal.last_input() == (9, NOON + 9)
    assert journal.oldest_offset() == 1
    assert [each.offset for each in journal.events_after(0, limit=9)] == [1, 2, 3, 4, 5]
    assert [each.offset for each in journal.snapshot().events] == [3, 5]
    inputs = journal.inputs_after(0, limit=99)
    assert [each.input.number for each in inputs] == list(range(1, 10))
    assert [each.input.payload for each in inputs[5:7]] == [b"not json", b"whole"]
    assert journal.checkpoints() == [Checkpoint("bagger-1", 8, b"state")]
    assert journal.command("ann", "x") == CommandRecord(
        user="ann",
        command_id="x",
        outcome="applied",
        reason=None,
        event_ids=("main:0123456789abcdef:1",),
        at=NOON,
    )
    assert journal.counters()["changeover", "applied", ""] == 6
    assert journal.known_resends().resends == ((5, Resend(b"digest", dated=True)),)
    assert journal.known_resends().settled == 4
    assert journal.suspects() == {b"suspect"}
    assert journal.published() == 3
    assert len(journal.retained()) == 1
    journal.close()


def test_journal_of_schema_1_goes_on(path: Path) -> None:
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("a", standing=Standing.CLOSED)], [event("d")]))
    journal.mark_published(6, retained=[(journal.snapshot().events[0].state_key, None)])
    journal.commit(Batch(entries=[], checkpoints={"bagger-1": b"later"}))
    journal.close()
    again = SqliteJournal.open(path, stream="main")
    assert again.epoch == "0123456789abcdef"
    assert [each.offset for each in again.events_after(4, limit=9)] == [5, 6, 7]
    assert [each.offset for each in again.snapshot().events] == [5, 7]
    assert again.checkpoints() == [Checkpoint("bagger-1", 11, b"later")]
    assert again.counters()["changeover", "applied", ""] == 8
    assert again.inputs_after(6, limit=1)[0].disposition == quarantined("unknown_place")
    assert again._all("SELECT epoch, first_offset, reason FROM epochs") == [("0123456789abcdef", 1, "created")]
    again.close()


def test_migrated_journal_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for each in (path, new):
        SqliteJournal.open(each, stream="main").close()
    tables = []
    for each in (path, new):
        with closing(sqlite3.connect(each)) as connection:
            query = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
            tables.append(connection.execute(query).fetchall())
            assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("killed_at", ["schema.seal_meta", "writing.check_ends", "writing.read_meta"])
def test_journal_killed_in_the_middle_of_its_migration_is_migrated_at_the_next_start(
    path: Path, killed_at: str
) -> None:
    before = content(path)
    program = (
        "import os, signal, sys; from pathlib import Path; from bridge.adapters.journal import schema, writing\n"
        f"def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n{killed_at} = die\n"
        "writing.SqliteJournal.open(Path(sys.argv[1]), stream='main')"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content(path) == before
    test_journal_of_schema_1_goes_on(path)


def test_damaged_journal_of_schema_1_is_not_migrated(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM events WHERE offset = 5")
    before = content(path)
    with pytest.raises(JournalDamaged, match="end"):
        SqliteJournal.open(path, stream="main")
    assert content(path) == before


def test_reader_asks_for_the_bridge_to_bring_an_older_journal_up_to_date(path: Path) -> None:
    with pytest.raises(JournalTooOld, match="start the bridge once") as refusal:
        SqliteReader.open(path, stream="main")
    assert (refusal.value.found, refusal.value.known) == (1, SCHEMA)
    SqliteJournal.open(path, stream="main").close()
    SqliteReader.open(path, stream="main").close()


def test_large_journal_of_schema_1_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its small tables are checked before, and it has fewer of them."""
    monkeypatch.setattr(checks, "WHOLE_BYTES", 0)
    test_journal_of_schema_1_goes_on(path)
