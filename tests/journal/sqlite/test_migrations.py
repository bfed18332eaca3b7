"""Migrations: a journal of an older version opens, holds what it held and goes on. That version wrote the samples."""

import gzip
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest

from bridge.adapters import plant_file
from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Standing
from bridge.domain.records import CommandRecord, MessageDigest
from bridge.domain.reports import quarantined
from bridge.ingest.native import decode
from bridge.journal.sqlite import start_checks
from bridge.journal.sqlite.lock_file import CommitMarker, JournalLock
from bridge.journal.sqlite.migrations import INPUT_FIELDS
from bridge.journal.sqlite.schema import SCHEMA, TABLES, row_checksum
from bridge.journal.sqlite.writer import JournalDamaged, JournalTooOld, SqliteJournal, SqliteReader
from bridge.journal.tools.quarantine_reader import QuarantineReader
from bridge.journal.tools.stats import read_stats
from bridge.journal.tools.verify import verify_journal
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import Batch, Checkpoint
from tests.support.bridge_process import DEMO_PLANT
from tests.support.journal_samples import (
    JOURNALS,
    NOON,
    applied,
    event,
    follow,
    make_older_journal,
    make_schema_1,
    make_schema_2,
    query,
    repr_checksum,
)

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


OLDER = ("schema_1.sql", "schema_2.sql", "schema_3.sql", "schema_3_from_1.sql")


@pytest.fixture(params=OLDER)
def older(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A journal of each older schema."""
    path = tmp_path / "older.db"
    make_older_journal(path, request.param)
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
    assert (
        query(journal.path, "SELECT epoch, first_offset, began_at, reason FROM epochs ORDER BY first_offset") == EPOCHS
    )
    assert (
        query(journal.path, "SELECT number, decision, decided_at FROM quarantine_decisions ORDER BY number")
        == DECISIONS
    )
    journal.close()
    assert verify_journal(second).is_intact


SAME = {
    "SELECT epoch, first_offset, began_at, reason FROM epochs": "SELECT epoch, first_offset, began, reason FROM epochs",
    "SELECT state_key, offset FROM current_events": "SELECT key, offset FROM current",
    "SELECT number, digest, has_timestamp, packet_id FROM dedup_digests":
        "SELECT number, digest, dated, mid FROM resends",
    "SELECT number, digest FROM crash_digests": "SELECT number, digest FROM suspects",
    "SELECT state_key, topic FROM retained_topics": "SELECT key, topic FROM retained",
    "SELECT hour_end, number, offset FROM hourly_positions": "SELECT at, number, offset FROM ages",
    "SELECT number, decision, decided_at FROM quarantine_decisions": "SELECT number, action, at FROM handled",
    "SELECT last_number, last_offset, latest_arrival, published_offset, acked_up_to, commits FROM meta":
        "SELECT last_number, last_offset, latest_arrival, published, settled, commits FROM meta",
    **dict.fromkeys((
        "SELECT user, command_id, outcome, reason, event_ids, at FROM commands",
        "SELECT kind, effect, reason, count FROM counters",
        "SELECT number, payload FROM quarantine",
        "SELECT topic, number, payload, received_at FROM config",
        "SELECT line, number, state FROM checkpoints",
        "SELECT offset, id, topic, standing, timestamp, audience, body FROM events",
        f"SELECT {INPUT_FIELDS} FROM inputs",
    )),
}  # fmt: skip
"""Query after the migration -> the same before it (None: the same words)."""


@pytest.mark.parametrize("sample", ["schema_3.sql", "schema_3_from_1.sql"])
def test_journal_of_schema_3_holds_what_it_held(tmp_path: Path, sample: str) -> None:
    path = tmp_path / "journal.db"
    make_older_journal(path, sample)
    with closing(sqlite3.connect(path)) as connection:
        before = {new: sorted(connection.execute(old or new), key=repr) for new, old in SAME.items()}
    SqliteJournal.open(path, stream="main").close()
    with closing(sqlite3.connect(path)) as connection:
        assert {new: sorted(connection.execute(new), key=repr) for new in SAME} == before
    if sample == "schema_3.sql":
        assert all(before.values()), "a row in every table"
        assert verify_journal(path).is_intact


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
    assert query(again.path, "SELECT number, decision FROM quarantine_decisions ORDER BY number") == [
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
    assert [reason for (reason,) in query(journal.path, "SELECT reason FROM epochs ORDER BY began_at")] == [
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


def test_every_row_gets_the_new_checksum(older: Path) -> None:
    SqliteJournal.open(older, stream="main").close()
    with closing(sqlite3.connect(older)) as connection:
        for table in TABLES:
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            assert [row[-1] for row in rows] == [row_checksum(*row[:-1]) for row in rows]


def test_replay_after_the_migration_gives_the_same_bytes(tmp_path: Path) -> None:
    """Of the demo plant: 5 minutes of reports, with checkpoints half way, by the version before schema 4."""
    path = tmp_path / "journal.db"
    make_older_journal(path, "schema_3_plant.sql.gz")
    plant = plant_file.load(DEMO_PLANT)
    with closing(SqliteJournal.open(path, stream="main")) as journal:
        restored = restore_floor(plant, journal, decode=partial(decode, max_bytes=65_536))
        assert (restored.replayed, restored.differences) == (148, 0)
    states = gzip.decompress((JOURNALS / "schema_3_plant_states.msgpack.gz").read_bytes())
    assert {spec.id: restored.floor.checkpoint(spec.id) for spec in plant.lines} == msgspec.msgpack.decode(states)
    assert verify_journal(path).is_intact


def schema_3_journal(path: Path, *statements: str) -> Path:
    """Make a journal of schema 3 and change it."""
    make_older_journal(path, "schema_3.sql")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.create_function("row_checksum", -1, row_checksum)
        connection.create_function("repr_checksum", -1, repr_checksum)
        for statement in statements:
            changes = connection.total_changes
            connection.execute(statement)
            assert connection.total_changes > changes
    return path


DAMAGE = {
    "an input": "UPDATE inputs SET received_at = received_at + 1 WHERE number = 11",
    "an input's text": "UPDATE inputs SET topic = CAST(x'ff' AS TEXT) WHERE number = 11",
    "an input with the checksum that it would get": (
        "UPDATE inputs SET retained = 1, seal = row_checksum(number, topic, payload, received_at, 1, redelivered, "
        "effect, reason, rejected, reached_core, first_offset, event_count) WHERE number = 11"
    ),
    "an input with the checksum of schema 1": (
        "UPDATE inputs SET seal = row_checksum(number, topic, payload) WHERE number = 11"
    ),
    "a command": "UPDATE commands SET outcome = 'rejected' WHERE command_id = 'c0'",
    "a command's text": "UPDATE commands SET command_id = CAST(x'ff' AS TEXT) WHERE command_id = 'c0'",
    "a command without checksum": "UPDATE commands SET outcome = 'rejected', seal = NULL WHERE command_id = 'c0'",
    "a counter": "UPDATE counters SET reason = 'x' WHERE reason = 'duplicate'",
    "a quarantined payload": "UPDATE quarantine SET payload = x'00' WHERE number = 6",
    "a digest": "UPDATE resends SET dated = 0 WHERE number = (SELECT min(number) FROM resends)",
    "a digest without checksum": "UPDATE resends SET seal = NULL WHERE number = (SELECT min(number) FROM resends)",
    "a retained topic": "UPDATE retained SET topic = topic || 'x'",
    "a configuration": "UPDATE config SET payload = x'00'",
    "a checkpoint": "UPDATE checkpoints SET state = x'00'",
    "an event": "UPDATE events SET body = x'00' WHERE offset = 4",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE)
def test_damaged_row_stays_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Beyond what a start checks, the migration goes on, and the row does not match its new checksum either."""
    monkeypatch.setattr(start_checks, "END_ROWS", 1)
    path = schema_3_journal(tmp_path / "journal.db", statement)
    SqliteJournal.open(path, stream="main").close()
    faults = [fault for part in verify_journal(path).parts for fault in part.faults]
    assert any("does not match its checksum" in fault for fault in faults), faults


REFUSED = {
    "meta": "UPDATE meta SET latest_arrival = latest_arrival + 1",
    "an epoch": "UPDATE epochs SET began = began + 1 WHERE reason = 'created'",
    "a decision": "UPDATE handled SET at = at + 1 WHERE number = 6",
    "a crash digest": "UPDATE suspects SET digest = zeroblob(16)",
    "a current event": "UPDATE current SET seal = seal + 1",
    "two rows of one key": "UPDATE epochs SET reason = CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_journal_whose_start_would_be_refused_is_not_migrated(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "journal.db"
    make_older_journal(path, "schema_3.sql")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(JournalDamaged):
        SqliteJournal.open(path, stream="main")
    assert path.read_bytes() == before


def test_row_without_checksum_is_accepted_where_schema_1_left_it(tmp_path: Path) -> None:
    """No checksum was ever there to compare; a digest of a later input has lost its own."""
    path = tmp_path / "journal.db"
    make_older_journal(path, "schema_3_from_1.sql")
    with closing(sqlite3.connect(path)) as connection, connection:
        (whole_after,) = connection.execute("SELECT whole_after FROM meta").fetchone()
        connection.executemany(
            "INSERT INTO resends VALUES (?, ?, 0, NULL, NULL)", [(whole_after, b"early"), (whole_after + 1, b"late")]
        )
    SqliteJournal.open(path, stream="main").close()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM dedup_digests ORDER BY number").fetchall()[-2:]
    assert [row[-1] == row_checksum(*row[:-1]) for row in rows] == [True, False]


def goes_on(path: Path) -> None:
    """Require that the journal opens, keeps its epoch and takes new events."""
    journal = SqliteJournal.open(path, stream="main")
    epoch, offset = journal.epoch, journal.position().offset
    journal.commit(follow(journal, [event("later")], [event("later", standing=Standing.CLOSED)]))
    journal.close()
    again = SqliteJournal.open(path, stream="main")
    assert again.epoch == epoch
    assert [found.offset for found in again.events_after(offset, limit=9)] == [offset + 1, offset + 2]
    again.close()


@pytest.mark.parametrize(
    "killed_at",
    ["migrations.row_checksum", "migrations._repr_checksum", "writer.check_consistency", "writer.read_meta"],
)
def test_journal_killed_in_the_middle_of_its_migration_is_migrated_at_the_next_start(
    older: Path, killed_at: str
) -> None:
    before = content(older)
    program = (
        "import os, signal, sys; from pathlib import Path; from bridge.journal.sqlite import migrations, writer\n"
        f"def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n{killed_at} = die\n"
        "writer.SqliteJournal.open(Path(sys.argv[1]), stream='main')"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(older)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert content(older) == before
    goes_on(older)


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
    goes_on(path)
    assert verify_journal(path).is_intact


def test_migration_without_room_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
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
        pytest.skip(f"this machine lets nobody trace: {ended.stderr}")
    assert "NoRoomToMigrate" in ended.stderr
    assert "no room on the disk to migrate from schema 3 to 4" in ended.stderr
    wal = path.with_name("journal.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0, "the disk has its room back"
    assert content(path) == before
    goes_on(path)


def test_damaged_journal_of_an_older_schema_is_not_migrated(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute("DELETE FROM events WHERE offset = (SELECT max(offset) FROM events)")
    before = content(older)
    with pytest.raises(JournalDamaged, match="end"):
        SqliteJournal.open(older, stream="main")
    assert content(older) == before


def test_readers_ask_for_the_bridge_to_bring_an_older_journal_up_to_date(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
    for look in (lambda path: SqliteReader.open(path, stream="main"), verify_journal, QuarantineReader, read_stats):
        with pytest.raises(JournalTooOld, match="start the bridge once") as refusal:
            look(older)
        assert (refusal.value.found, refusal.value.known) == (schema, SCHEMA)
    SqliteJournal.open(older, stream="main").close()
    SqliteReader.open(older, stream="main").close()


def test_large_journal_of_an_older_schema_goes_on(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its small tables are checked before; their names differ between schemas."""
    monkeypatch.setattr(start_checks, "FULL_CHECK_BYTES", 0)
    goes_on(older)
