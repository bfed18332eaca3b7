"""A restore puts a backup in the journal's place and loses nothing."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.domain.dedup import digest_message
from bridge.journal.sqlite.errors import JournalDamaged, JournalInUse, JournalTooOld, StreamMismatch
from bridge.journal.sqlite.lock_file import lock_path
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.backup import VerificationFailed, back_up
from bridge.journal.tools.read_only import NoJournal
from bridge.journal.tools.restore import RestoreRefused, restore_journal
from bridge.journal.tools.verify import verify_journal
from tests.journal.tools.test_backup import damage
from tests.support.full_journal import journal_rows
from tests.support.journal_samples import JOURNALS, event, follow, make_schema_2, query

ROOT = Path(__file__).parents[3]


def test_a_restored_journal_continues_in_a_new_epoch(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    back_up(path, target)
    before = target.read_bytes()
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("lost")]))
    old = journal.position()
    journal.close()
    later = journal_rows(path)
    restored = restore_journal(target, path, replace=True)
    assert target.read_bytes() == before
    replaced = next(file for file in restored.replaced_files if ".replaced-" in file.name and "-wal" not in file.name)
    assert journal_rows(replaced) == later
    assert verify_journal(replaced).is_intact
    assert verify_journal(path).is_intact
    assert restored.summary.epochs[-1].reason == "restored"
    assert restored.summary.epochs[-1].first_offset == old.offset
    journal = SqliteJournal.open(path, stream="main")
    assert journal.epoch not in {epoch.epoch for epoch in restored.summary.epochs[:-1]}
    journal.commit(follow(journal, [event("new")]))
    assert journal.position().offset == old.offset
    (event_there,) = journal.events_after(old.offset - 1, limit=9)
    assert event_there.id == f"main:{journal.epoch}:{old.offset}"
    journal.close()
    assert verify_journal(path).is_intact


def test_a_copy_put_in_place_by_hand_continues_in_a_new_epoch_too(path: Path, tmp_path: Path) -> None:
    """Otherwise a dashboard ahead of the copy would take the next events for those it had."""
    place = tmp_path / "new machine" / "journal.db"
    place.parent.mkdir()
    back_up(path, place)
    journal = SqliteJournal.open(place, stream="main")
    before, reason = query(journal.path, "SELECT epoch, reason FROM epochs ORDER BY first_offset, began_at")[-2:]
    assert (journal.epoch, "restored") == tuple(reason)
    assert journal.epoch != before[0]
    journal.commit(follow(journal, [event("later")]))
    journal.close()
    again = SqliteJournal.open(place, stream="main")  # once: from now on it has its owner's mark
    assert again.epoch == journal.epoch
    again.close()
    assert verify_journal(place).is_intact


def test_a_journal_that_was_just_made_is_no_copy(tmp_path: Path) -> None:
    for made in (tmp_path / "journal.db", tmp_path / "older.db"):
        if made.stem == "older":
            with closing(sqlite3.connect(made)) as connection:
                connection.executescript((JOURNALS / "schema_1.sql").read_text())
                connection.execute("PRAGMA journal_mode=WAL")
        journal = SqliteJournal.open(made, stream="main")
        journal.close()
        again = SqliteJournal.open(made, stream="main")
        assert again.epoch == journal.epoch
        assert len(query(again.path, "SELECT epoch FROM epochs")) == 1
        again.close()


def test_a_restore_needs_no_journal_before_it(sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    copy = Path(shutil.copy(sample, tmp_path / "backup.db"))
    assert restore_journal(copy, path).replaced_files == []
    SqliteJournal.open(path, stream="main").close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["journal.db", "journal.db.lock"]


def test_an_administrators_restore_is_of_the_bridges_user(
    path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the bridge could not open its own journal."""
    owners = {}
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.chown", lambda file, user, group: owners.update({Path(file).name: (user, group)}))
    restore_journal(sample, path, replace=True)
    like = path.stat()
    assert owners == dict.fromkeys(("journal.db.restoring", "journal.db.lock"), (like.st_uid, like.st_gid))


def test_a_copy_of_an_older_version_is_restored_as_one_of_this(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript((JOURNALS / "schema_1.sql").read_text())
        (topic, payload) = connection.execute("SELECT topic, payload FROM inputs WHERE number = 5").fetchone()
        connection.execute("UPDATE resends SET digest = ?", (digest_message(topic, payload),))
        connection.execute("DELETE FROM suspects")
        connection.commit()
    before = copy.read_bytes()
    with pytest.raises(JournalTooOld):
        back_up(copy, tmp_path / "again.db")
    path = tmp_path / "journal.db"
    restored = restore_journal(copy, path)
    assert copy.read_bytes() == before
    assert [epoch.reason for epoch in restored.summary.epochs] == ["created", "restored"]
    assert verify_journal(path).is_intact
    SqliteJournal.open(path, stream="main").close()


def test_a_copy_of_schema_2_is_restored_in_one_new_epoch(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    make_schema_2(copy)
    lock_path(copy).unlink()
    before = copy.read_bytes()
    path = tmp_path / "journal.db"
    restored = restore_journal(copy, path)
    assert copy.read_bytes() == before
    assert [epoch.reason for epoch in restored.summary.epochs] == ["created", "plant", "restored"]
    assert verify_journal(path).is_intact
    journal = SqliteJournal.open(path, stream="main")
    assert journal.epoch == restored.summary.epochs[-1].epoch
    journal.close()


def test_a_lost_journal_is_restored_over_what_is_left_of_it(path: Path, sample: Path) -> None:
    """The lock file still records the commits of the lost journal."""
    path.unlink()
    with pytest.raises(JournalDamaged, match="missing"):
        SqliteJournal.open(path, stream="main")
    restore_journal(sample, path, replace=True)
    SqliteJournal.open(path, stream="main").close()


def test_a_wal_that_was_not_written_back_is_kept_with_its_file(owner: SqliteJournal, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed" / "journal.db"
    crashed.parent.mkdir()
    for suffix in ("", "-wal", "-shm", ".lock"):
        shutil.copy(owner.path.with_name("journal.db" + suffix), crashed.with_name("journal.db" + suffix))
    target = tmp_path / "backup.db"
    back_up(crashed, target)
    restored = restore_journal(target, crashed, replace=True)
    assert sorted(file.name.rpartition("Z")[2] for file in restored.replaced_files) == ["", "-shm", "-wal"]
    copy = crashed.with_name("kept.db")
    for file in restored.replaced_files:
        file.rename(copy.with_name("kept.db" + file.name.rpartition("Z")[2]))
    assert verify_journal(copy).is_intact
    shutil.copy(owner.path.with_name("journal.db.lock"), copy.with_name("kept.db.lock"))
    SqliteJournal.open(copy, stream="main").close()
    assert journal_rows(copy) == journal_rows(target)


@pytest.mark.parametrize("replace", [False, True])
def test_a_restore_refuses_what_it_must_not_touch(
    owner: SqliteJournal, sample: Path, tmp_path: Path, *, replace: bool
) -> None:
    before = owner.position()
    with pytest.raises(JournalInUse if replace else RestoreRefused):
        restore_journal(sample, owner.path, replace=replace)
    owner.commit(follow(owner, [event("goes on")]))
    assert owner.position().offset == before.offset + 1
    assert not list(tmp_path.glob("*.re*"))


@pytest.mark.parametrize("suffix", ["-wal", "-shm", ".lock"])
def test_a_restore_replaces_no_file_of_another_journal(owner: SqliteJournal, sample: Path, suffix: str) -> None:
    with pytest.raises(RestoreRefused, match="a file of the journal"):
        restore_journal(sample, owner.path.with_name("journal.db" + suffix), replace=True)
    assert verify_journal(owner.path).is_intact


def test_a_restore_does_not_overwrite_its_backup(sample: Path, tmp_path: Path) -> None:
    backup = Path(shutil.copy(sample, tmp_path / "journal.db.restoring"))
    before = backup.read_bytes()
    with pytest.raises(RestoreRefused, match="rename it"):
        restore_journal(backup, tmp_path / "journal.db")
    assert backup.read_bytes() == before


def test_a_restore_waits_for_no_reader(path: Path, sample: Path) -> None:
    """SQLite deletes the -wal by its name when the last reader closes the old file: it would be the new file's."""
    program = (
        "import sys; from pathlib import Path; from bridge.journal.sqlite.reader import SqliteReader\n"
        "reader = SqliteReader.open(Path(sys.argv[1]), stream='main'); reader.position()\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(RestoreRefused, match="another process reads"):
            restore_journal(sample, path, replace=True)
        child.kill()
    restore_journal(sample, path, replace=True)


def test_a_damaged_or_foreign_backup_is_refused(path: Path, sample: Path, tmp_path: Path) -> None:
    before = journal_rows(path)
    copy = Path(shutil.copy(sample, tmp_path / "backup.db"))
    with pytest.raises(StreamMismatch):
        restore_journal(copy, path, stream="other", replace=True)
    damage(copy)
    with pytest.raises(VerificationFailed, match="does not match its checksum"):
        restore_journal(copy, path, replace=True)
    copy.write_bytes(b"nothing of ours")
    with pytest.raises(JournalDamaged, match="not a database"):
        restore_journal(copy, path, replace=True)
    with pytest.raises(NoJournal):
        restore_journal(tmp_path / "none.db", path, replace=True)
    with pytest.raises(RestoreRefused, match="itself"):
        restore_journal(path, path, replace=True)
    assert journal_rows(path) == before
    SqliteJournal.open(path, stream="main").close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup.db", "journal.db", "journal.db.lock"]


def test_a_journal_that_cannot_be_renamed_stays_in_place(
    path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = journal_rows(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(RestoreRefused, match="No space left"):
        restore_journal(sample, path, replace=True)
    SqliteJournal.open(path, stream="main").close()
    assert journal_rows(path) == before
