"""A journal of an older version opens and goes on; the file it begins with was written by that version."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Standing
from bridge.domain.records import CommandRecord, MessageDigest
from bridge.domain.reports import quarantined
from bridge.journal.sqlite import start_checks
from bridge.journal.sqlite.lock_file import CommitMarker, JournalLock
from bridge.journal.sqlite.schema import SCHEMA, row_checksum
from bridge.journal.sqlite.writer import JournalDamaged, JournalTooOld, SqliteJournal, SqliteReader
from bridge.journal.tools.quarantine_reader import QuarantineReader
from bridge.journal.tools.stats import read_stats
from bridge.journal.tools.verify import verify_journal
from bridge.ports.journal import Batch, Checkpoint
from tests.support.journal_samples import NOON, applied, event, follow, make_schema_1, make_schema_2, query

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of schema 1."""
    path = tmp_path / "journal.db"
    make_schema_1(path)
    return path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A journal of schema 2."""
    path = tmp_path / "second.db"
    make_schema_2(path)
    return path


@pytest.fixture(params=[make_schema_1, make_schema_2], ids=["schema 1", "schema 2"])
def older(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A journal of each older schema."""
    path = tmp_path / "older.db"
    request.param(path)
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
    assert journal.dedup_window().digests == ((5, MessageDigest(b"digest", has_timestamp=True)),)
    assert journal.dedup_window().acked_up_to == 4
    assert journal.crash_digests() == {b"suspect"}
    assert journal.published_offset() == 3
    assert len(journal.retained_topics()) == 1
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
    assert query(again.path, "SELECT epoch, first_offset, reason FROM epochs") == [("0123456789abcdef", 1, "created")]
    again.close()


EPOCHS = [
    ("0123456789abcdef", 1, NOON, "created"),
    ("fedcba9876543210", 5, NOON + 4_000, "plant"),
]
DECISIONS = [(5, "asked", NOON + 1_000), (6, "replayed", NOON + 3_000), (7, "dropped", NOON + 2_000)]


def test_journal_of_schema_2_holds_what_it_held(second: Path) -> None:
    journal = SqliteJournal.open(second, stream="main")
    assert journal.epoch == "fedcba9876543210"
    assert journal.position().offset == 5
    assert journal.last_input() == (11, NOON + 3_600_011)
    assert [each.offset for each in journal.events_after(0, limit=9)] == [1, 2, 3, 4, 5]
    assert [each.offset for each in journal.snapshot().events] == [5]
    assert [each.input.number for each in journal.inputs_after(0, limit=99)] == list(range(1, 12))
    assert [each.payload for each in journal.requested_replays(9)] == [b"not json"]
    (resend,) = journal.dedup_window().digests
    assert (resend[0], resend[1].mid) == (4, 7)
    assert len(journal.crash_digests()) == 1
    assert query(journal.path, "SELECT epoch, first_offset, began, reason FROM epochs ORDER BY first_offset") == EPOCHS
    assert query(journal.path, "SELECT number, action, at FROM handled ORDER BY number") == DECISIONS
    journal.close()
    assert verify_journal(second).is_intact


def test_rows_of_schema_2_are_sealed_from_then_on(second: Path) -> None:
    SqliteJournal.open(second, stream="main").close()
    with closing(sqlite3.connect(second)) as connection:
        sealed = {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("epochs", "handled", "suspects")
        }
    assert sealed["epochs"] == [(*row, row_checksum(*row)) for row in EPOCHS]
    assert sealed["handled"] == [(*row, row_checksum(*row)) for row in DECISIONS]
    assert [row[2] for row in sealed["suspects"]] == [row_checksum(*row[:2]) for row in sealed["suspects"]] != []


def test_journal_of_schema_2_goes_on(second: Path) -> None:
    journal = SqliteJournal.open(second, stream="main")
    journal.commit(
        Batch(entries=[applied(12, payload=b"not json")], quarantined_numbers=[5], crash_digest=b"0123456789abcdef")
    )
    assert journal.requested_replays(9) == []
    journal.commit(follow(journal, [event("d")]))
    journal.commit(Batch(entries=[], retired_keys=[EventTopic.from_event(event("d")).state_key]))
    last = journal.epoch
    journal.close()
    again = SqliteJournal.open(second, stream="main")
    assert again.epoch == last
    assert [each.id.split(":")[1] for each in again.events_after(4, limit=9)] == ["fedcba9876543210"] * 2
    assert query(again.path, "SELECT number, action FROM handled ORDER BY number") == [
        (5, "replayed"),
        (6, "replayed"),
        (7, "dropped"),
    ]
    assert len(again.crash_digests()) == 2
    again.close()
    assert verify_journal(second).is_intact


def test_copy_of_schema_2_goes_on_in_a_new_epoch(second: Path) -> None:
    """As one of this schema does: the owners of both leave a mark, and a copy has none."""
    second.with_name("second.db.lock").unlink()
    journal = SqliteJournal.open(second, stream="main")
    assert [reason for (reason,) in query(journal.path, "SELECT reason FROM epochs ORDER BY began")] == [
        "created",
        "plant",
        "restored",
    ]
    assert journal.epoch != "fedcba9876543210"
    journal.close()


def test_journal_of_schema_2_that_lost_commits_is_not_migrated(second: Path) -> None:
    with closing(JournalLock.acquire(second)) as ownership:
        ownership.force_marker(CommitMarker("fedcba9876543210", 6))
    before = content(second)
    with pytest.raises(JournalDamaged, match=r"its \.lock knows of 6"):
        SqliteJournal.open(second, stream="main")
    assert content(second) == before


def test_migrated_journal_has_the_tables_of_a_new_one(older: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for each in (older, new):
        SqliteJournal.open(each, stream="main").close()
    tables = []
    for each in (older, new):
        with closing(sqlite3.connect(each)) as connection:
            query = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
            tables.append(connection.execute(query).fetchall())
            assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("killed_at", ["schema.row_checksum", "writer.check_consistency", "writer.read_meta"])
@pytest.mark.parametrize("schema", [1, 2])
def test_journal_killed_in_the_middle_of_its_migration_is_migrated_at_the_next_start(
    path: Path, second: Path, schema: int, killed_at: str
) -> None:
    killed = path if schema == 1 else second
    before = content(killed)
    program = (
        "import os, signal, sys; from pathlib import Path; from bridge.journal.sqlite import schema, writer\n"
        f"def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n{killed_at} = die\n"
        "writer.SqliteJournal.open(Path(sys.argv[1]), stream='main')"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(killed)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert content(killed) == before
    if schema == 1:
        test_journal_of_schema_1_goes_on(killed)
    else:
        test_journal_of_schema_2_goes_on(killed)


def test_damaged_journal_of_an_older_schema_is_not_migrated(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute("DELETE FROM events WHERE offset = 5")
    before = content(older)
    with pytest.raises(JournalDamaged, match="end"):
        SqliteJournal.open(older, stream="main")
    assert content(older) == before


@pytest.mark.parametrize("schema", [1, 2])
def test_readers_ask_for_the_bridge_to_bring_an_older_journal_up_to_date(path: Path, second: Path, schema: int) -> None:
    found = path if schema == 1 else second
    for look in (lambda path: SqliteReader.open(path, stream="main"), verify_journal, QuarantineReader, read_stats):
        with pytest.raises(JournalTooOld, match="start the bridge once") as refusal:
            look(found)
        assert (refusal.value.found, refusal.value.known) == (schema, SCHEMA)
    SqliteJournal.open(found, stream="main").close()
    SqliteReader.open(found, stream="main").close()


def test_large_journal_of_an_older_schema_goes_on(path: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its small tables are checked before, and schema 1 has fewer of them."""
    monkeypatch.setattr(start_checks, "FULL_CHECK_BYTES", 0)
    test_journal_of_schema_1_goes_on(path)
    test_journal_of_schema_2_goes_on(second)
