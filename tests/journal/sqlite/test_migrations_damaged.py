"""Migrations of damaged journals, and of journals whose start would be refused."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.journal.sqlite import start_checks
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.lock_file import CommitMarker, JournalLock
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.restore import restore_journal
from bridge.journal.tools.verify import verify_journal
from tests.journal.sqlite.older_journals import content, schema_3_journal
from tests.support.journal_samples import (
    make_older_journal,
)


def test_journal_of_schema_2_that_lost_commits_is_not_migrated(second: Path) -> None:
    with closing(JournalLock.acquire(second)) as ownership:
        ownership.force_marker(CommitMarker("fedcba9876543210", 6))
    before = content(second)
    with pytest.raises(JournalDamaged, match=r"its \.lock knows of 6"):
        SqliteJournal.open(second, stream="main")
    assert content(second) == before


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
    """Beyond the rows that a start checks the migration continues, and the row fails its new checksum too."""
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


FLIPPED_TEXT = "UPDATE events SET topic = CAST(x'ff' || topic AS TEXT) WHERE offset = (SELECT max(offset) FROM events)"


@pytest.mark.parametrize("statement", [FLIPPED_TEXT, "DELETE FROM meta"])
def test_damage_of_any_older_schema_is_reported_as_damage(older: Path, tmp_path: Path, statement: str) -> None:
    """Also by a restore of that journal's copy."""
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute(statement)
    before = older.read_bytes()
    with pytest.raises(JournalDamaged):
        SqliteJournal.open(older, stream="main")
    with pytest.raises(JournalDamaged):
        restore_journal(older, tmp_path / "restored.db")
    assert [file.name for file in tmp_path.glob("restored.db*")] == ["restored.db.lock"]
    assert older.read_bytes() == before


@pytest.mark.parametrize("table", ["counters", "commands", "retained", "current"])
def test_row_of_schema_1_with_damaged_text_in_its_key_stays_damaged(tmp_path: Path, table: str) -> None:
    """Rows of schema 1 have no checksum that would show the damage."""
    path = tmp_path / "journal.db"
    make_older_journal(path, "schema_1.sql")
    key = {"counters": "kind", "commands": "command_id"}.get(table, "key")
    with closing(sqlite3.connect(path)) as connection, connection:
        changed = connection.execute(f"UPDATE {table} SET {key} = CAST({key} || x'ff' AS TEXT)").rowcount
    assert changed
    if table == "current":
        with pytest.raises(JournalDamaged):
            SqliteJournal.open(path, stream="main")
        return
    SqliteJournal.open(path, stream="main").close()
    faults = [fault for part in verify_journal(path).parts for fault in part.faults]
    assert sum("does not match its checksum" in fault for fault in faults) >= changed, faults


def test_damaged_journal_of_an_older_schema_is_not_migrated(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute("DELETE FROM events WHERE offset = (SELECT max(offset) FROM events)")
    before = content(older)
    with pytest.raises(JournalDamaged, match="end"):
        SqliteJournal.open(older, stream="main")
    assert content(older) == before
