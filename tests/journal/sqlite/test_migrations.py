"""Migrations: a journal of an older version keeps its content and continues. That version wrote the samples."""

import gzip
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge.adapters import plant_file
from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Standing
from bridge.domain.records import CommandRecord, MessageDigest
from bridge.domain.reports import quarantined
from bridge.ingest.native import decode
from bridge.journal.sqlite import start_checks
from bridge.journal.sqlite.errors import JournalTooOld
from bridge.journal.sqlite.migrations import INPUT_FIELDS
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.schema import SCHEMA, TABLES, row_checksum
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.quarantine_reader import QuarantineReader
from bridge.journal.tools.stats import read_stats
from bridge.journal.tools.verify import verify_journal
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import Batch, Checkpoint
from tests.journal.sqlite.older_journals import require_continues
from tests.support.bridge_process import DEMO_PLANT
from tests.support.journal_samples import (
    JOURNALS,
    NOON,
    applied,
    event,
    follow,
    make_older_journal,
    make_schema_1,
    query,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of schema 1."""
    path = tmp_path / "journal.db"
    make_schema_1(path)
    return path


def test_journal_of_schema_1_holds_what_it_held(path: Path) -> None:
    journal = SqliteJournal.open(path, stream="main")
    assert journal.epoch == "0123456789abcdef"
    assert journal.position().offset == 5
    assert journal.last_input() == (9, NOON + 9)
    assert journal.oldest_offset() == 1
    assert [event.offset for event in journal.events_after(0, limit=9)] == [1, 2, 3, 4, 5]
    assert [event.offset for event in journal.snapshot().events] == [3, 5]
    inputs = journal.inputs_after(0, limit=99)
    assert [entry.input.number for entry in inputs] == list(range(1, 10))
    assert [entry.input.payload for entry in inputs[5:7]] == [b"not json", b"whole"]
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


def test_journal_of_schema_1_continues(path: Path) -> None:
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("a", standing=Standing.CLOSED)], [event("d")]))
    journal.mark_published(6, retained=[(journal.snapshot().events[0].state_key, None)])
    journal.commit(Batch(entries=[], checkpoints={"bagger-1": b"later"}))
    journal.close()
    again = SqliteJournal.open(path, stream="main")
    assert again.epoch == "0123456789abcdef"
    assert [committed.offset for committed in again.events_after(4, limit=9)] == [5, 6, 7]
    assert [committed.offset for committed in again.snapshot().events] == [5, 7]
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
    assert [event.offset for event in journal.events_after(0, limit=9)] == [1, 2, 3, 4, 5]
    assert [event.offset for event in journal.snapshot().events] == [5]
    assert [entry.input.number for entry in journal.inputs_after(0, limit=99)] == list(range(1, 12))
    assert [replay.payload for replay in journal.requested_replays(9)] == [b"not json"]
    (resend,) = journal.dedup_window().digests
    assert (resend[0], resend[1].packet_id) == (4, 7)
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


def test_journal_of_schema_2_continues(second: Path) -> None:
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
    assert [committed.id.split(":")[1] for committed in again.events_after(4, limit=9)] == ["fedcba9876543210"] * 2
    assert query(again.path, "SELECT number, decision FROM quarantine_decisions ORDER BY number") == [
        (5, "replayed"),
        (6, "replayed"),
        (7, "dropped"),
    ]
    assert len(again.crash_digests()) == 2
    again.close()
    assert verify_journal(second).is_intact


def test_copy_of_schema_2_continues_in_a_new_epoch(second: Path) -> None:
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


def test_migrated_journal_has_the_tables_of_a_new_one(older: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    for path in (older, new):
        SqliteJournal.open(path, stream="main").close()
    tables = []
    for path in (older, new):
        with closing(sqlite3.connect(path)) as connection:
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


def as_before_levels(checkpoint: bytes) -> Any:
    """Return a line's state as that version knew it: without the equipment levels of what has ended."""
    state = msgspec.msgpack.decode(checkpoint)
    people = state["people"]
    for final in (people["andon"]["final"], people["quality"]["cleared"]):
        for subject, end in final.items():
            final[subject] = end[0] if isinstance(end, list) else None
    return state


def test_replay_after_the_migration_gives_the_same_state(tmp_path: Path) -> None:
    """Of the demo plant: 5 minutes of reports, with checkpoints half way, by the version before schema 4."""
    path = tmp_path / "journal.db"
    make_older_journal(path, "schema_3_plant.sql.gz")
    plant = plant_file.load(DEMO_PLANT)
    with closing(SqliteJournal.open(path, stream="main")) as journal:
        restored = restore_floor(plant, journal, decode=partial(decode, max_bytes=65_536))
        assert (restored.replayed, restored.differences) == (148, 0)
    states = msgspec.msgpack.decode(gzip.decompress((JOURNALS / "schema_3_plant_states.msgpack.gz").read_bytes()))
    assert {spec.id: as_before_levels(restored.floor.checkpoint(spec.id)) for spec in plant.lines} == {
        line: msgspec.msgpack.decode(state) for line, state in states.items()
    }
    assert verify_journal(path).is_intact


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


def test_readers_ask_for_the_bridge_to_bring_an_older_journal_up_to_date(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
    for read in (lambda path: SqliteReader.open(path, stream="main"), verify_journal, QuarantineReader, read_stats):
        with pytest.raises(
            JournalTooOld, match=rf"schema {schema}, .* schema {SCHEMA}\. Start the bridge once"
        ) as refusal:
            read(older)
        assert (refusal.value.found, refusal.value.known) == (schema, SCHEMA)
    SqliteJournal.open(older, stream="main").close()
    SqliteReader.open(older, stream="main").close()


def test_large_journal_of_an_older_schema_continues(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its small tables are checked before; their names differ between schemas."""
    monkeypatch.setattr(start_checks, "FULL_CHECK_BYTES", 0)
    require_continues(older)
