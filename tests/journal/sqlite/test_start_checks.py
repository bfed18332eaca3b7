"""Files that a journal refuses to open, and the advice in each error."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.journal.sqlite import start_checks
from bridge.journal.sqlite.errors import JournalDamaged, JournalInUse, JournalTooNew, StreamMismatch
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch, JournalError, JournalUnavailable
from tests.support.journal_samples import event, follow

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed journal with some hundred events."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    for number in range(100):
        journal.commit(follow(journal, [event(f"s{number}")]))
    journal.commit(Batch(entries=[], checkpoints={"bagger-1": b"state"}))
    journal.close()
    assert not path.with_name("journal.db-wal").exists()
    return path


def test_journal_has_one_owner(path: Path) -> None:
    owner = SqliteJournal.open(path, stream="main")
    with pytest.raises(JournalInUse) as refusal:
        SqliteJournal.open(path, stream="main")
    assert refusal.value.path == path
    owner.close()
    SqliteJournal.open(path, stream="main").close()


def test_owner_is_another_process(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from bridge.journal.sqlite.writer import SqliteJournal\n"
        "journal = SqliteJournal.open(Path(sys.argv[1]), stream='main'); print('open', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(JournalInUse):
            SqliteJournal.open(path, stream="main")
        child.kill()
    SqliteJournal.open(path, stream="main").close()


def test_other_stream_is_refused(path: Path) -> None:
    with pytest.raises(StreamMismatch) as refusal:
        SqliteJournal.open(path, stream="other")
    assert (refusal.value.expected, refusal.value.found) == ("other", "main")


def test_newer_schema_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalTooNew) as refusal:
        SqliteJournal.open(path, stream="main")
    assert refusal.value.found == 99


def test_refusal_gives_the_ownership_back(path: Path) -> None:
    with pytest.raises(StreamMismatch):
        SqliteJournal.open(path, stream="other")
    SqliteJournal.open(path, stream="main").close()


def damage(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def refused(path: Path) -> str:
    before = files_of(path)
    findings = []
    for opening in (SqliteReader.open, SqliteJournal.open):
        with pytest.raises(JournalDamaged, match="restore a backup") as refusal:
            opening(path, stream="main")
        assert files_of(path) == before, "a damaged journal is left as it was"
        findings.append(refusal.value.finding)
    assert findings[0] == findings[1]
    return findings[0]


def files_of(path: Path) -> list[bytes | None]:
    both = (path, path.with_name(path.name + "-wal"))
    return [file.read_bytes() if file.exists() and file.stat().st_size else None for file in both]


def test_overwritten_header_is_refused(path: Path) -> None:
    damage(path, 0, b"\xff" * 100)
    assert refused(path)


def test_overwritten_pages_are_refused(path: Path) -> None:
    damage(path, 3 * 4096, b"\xff" * 3 * 4096)
    assert refused(path)


def test_torn_journal_is_refused(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size // 2)
    assert refused(path)


def test_emptied_journal_is_refused(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(0)
    assert refused(path) == "not a journal"


def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE something (else_ TEXT)")
    assert refused(path) == "not a journal"


def test_lost_tail_is_refused(path: Path) -> None:
    """Its own end is written in two places, and they must agree."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM current_events")
        connection.execute("DELETE FROM events WHERE offset > 90")
    assert "end" in refused(path)


def test_a_lost_file_beside_its_wal_is_not_created_again(path: Path) -> None:
    owner = SqliteJournal.open(path, stream="main")
    owner.commit(follow(owner, [event("tail")]))
    shutil.copy(path.with_name("journal.db-wal"), path.with_name("kept"))
    owner.close()
    path.unlink()
    path.with_name("kept").rename(path.with_name("journal.db-wal"))
    with pytest.raises(JournalDamaged, match="missing"):
        SqliteJournal.open(path, stream="main")
    assert not path.exists()


def test_flipped_bit_never_becomes_an_event(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has no checksums: a flip inside a row is found by the row's checksum, at the latest when it is read."""
    monkeypatch.setattr(start_checks, "END_ROWS", 10)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM current_events")
    content = path.read_bytes()
    index = content.index(b'"changeover_id":"s50"')
    damage(path, index + 17, b"z")
    journal = SqliteJournal.open(path, stream="main")
    with pytest.raises(JournalDamaged, match="event 51"):
        journal.events_after(0, limit=1_000)
    with pytest.raises(JournalDamaged, match="event 51"):
        journal.event(51)
    assert len(journal.events_after(51, limit=1_000)) == 49
    journal.close()


@pytest.mark.parametrize("subject", ["s0", "s50", "s99"], ids=["oldest", "current", "newest"])
def test_flipped_bit_at_the_ends_or_in_what_is_current_is_refused_at_start(path: Path, subject: str) -> None:
    """However large the file is."""
    damage(path, path.read_bytes().index(b'"changeover_id":"%s"' % subject.encode()) + 17, b"z")
    assert "does not match its checksum" in refused(path)


def test_large_journal_is_checked_where_it_is_small(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the size structures of events and inputs are left to the reading, and to `floor journal verify`."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP INDEX quarantined")
        connection.execute("CREATE INDEX quarantined ON inputs (number) WHERE effect = 'applied'")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'applied', 'quarantined')")
    assert "quarantined" in refused(path)
    monkeypatch.setattr(start_checks, "FULL_CHECK_BYTES", 0)
    SqliteJournal.open(path, stream="main").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'commands (at)', 'commands (user)')")
        connection.execute("INSERT INTO commands VALUES ('ann', 'x', 'applied', NULL, '[]', 0, 0)")
    assert "commands_by_age" in refused(path)


def test_flipped_checkpoint_is_never_restored(path: Path) -> None:
    damage(path, path.read_bytes().index(b"dstate") + 1, b"S")
    journal = SqliteJournal.open(path, stream="main")
    with pytest.raises(JournalDamaged, match="bagger-1"):
        journal.checkpoints()
    journal.close()


def test_a_vanished_journal_is_not_replaced_by_an_empty_one(path: Path) -> None:
    journal = SqliteJournal.open(path, stream="main")
    path.unlink()
    with pytest.raises(JournalUnavailable):
        journal.position()
    assert not path.exists()
    journal.close()


def test_interrupted_creation_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.with_name("journal.db.new").write_bytes(b"half a journal")
    SqliteJournal.open(path, stream="main").close()
    SqliteJournal.open(path, stream="main").close()


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    for place in (tmp_path / "a-file" / "journal.db", Path("/proc/journal.db")):
        with pytest.raises(JournalError, match=f"{place}: cannot open a journal there"):
            SqliteJournal.open(place, stream="main")
