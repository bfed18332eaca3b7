"""A backup is complete under its name or not there; a restore puts it in the journal's place and loses nothing."""

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bridge.domain.dedup import digest_message
from bridge.journal.sqlite.lock_file import lock_path
from bridge.journal.sqlite.writer import JournalDamaged, JournalInUse, JournalTooOld, SqliteJournal, StreamMismatch
from bridge.journal.tools import backup as journal_backup
from bridge.journal.tools.backup import BackupRefused, VerificationFailed, back_up
from bridge.journal.tools.read_only import NoJournal
from bridge.journal.tools.restore import RestoreRefused, restore_journal
from bridge.journal.tools.verify import verify_journal
from tests.support.full_journal import fill, held, whole_journal
from tests.support.journal_samples import event, follow, make_schema_2, query

ROOT = Path(__file__).parents[3]
SCHEMA_1 = ROOT / "tests" / "support" / "journals" / "schema_1.sql"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "journal.db"
    whole_journal(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    whole_journal(path)
    return path


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal that is owned, with some of it still in its -wal."""
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    fill(journal)
    yield journal
    journal.close()


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b'"changeover_id":"s5"') + 18] ^= 1
    path.write_bytes(data)


def test_a_backup_is_all_of_the_journal_at_one_moment(
    owner: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is committed meanwhile: the copy is neither begun anew nor mixed."""
    monkeypatch.setattr(journal_backup, "STEP_PAGES", 5)
    steps = 0
    target = tmp_path / "copies" / "backup.db"
    target.parent.mkdir()
    before = owner.position().offset

    def progress(part: str, _done: int, _of: int) -> None:
        nonlocal steps
        if part == "copy":
            steps += 1
            assert steps < 100, "begun anew by every commit"
            owner.commit(follow(owner, [event("meanwhile")], []))

    verdict = back_up(owner.path, target, progress=progress)
    assert verdict.summary is not None
    assert verdict.summary.meta.last_offset == before
    assert steps > 3
    assert owner.position().offset > before
    assert [each.name for each in target.parent.iterdir()] == ["backup.db"]
    assert verify_journal(target).is_intact
    assert verify_journal(owner.path).is_intact


def test_a_backup_replaces_only_when_told_to(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("something else")
    with pytest.raises(BackupRefused, match="--force"):
        back_up(path, target)
    assert target.read_text() == "something else"
    back_up(path, target, replace=True)
    assert held(target) == held(path)
    with pytest.raises(BackupRefused):
        back_up(path, path, replace=True)
    with pytest.raises(BackupRefused, match="no such folder"):
        back_up(path, tmp_path / "away" / "backup.db")
    with pytest.raises(NoJournal):
        back_up(tmp_path / "none.db", tmp_path / "none-copy.db")
    assert not list(tmp_path.glob("*.partial"))


def test_a_damaged_journal_makes_no_backup(path: Path, tmp_path: Path) -> None:
    damage(path)
    target = tmp_path / "backup.db"
    target.write_text("the last good one")
    with pytest.raises(VerificationFailed, match="does not match its checksum"):
        back_up(path, target, replace=True)
    assert target.read_text() == "the last good one"
    assert not list(tmp_path.glob("*.partial"))


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file grow beyond this many bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_what_was_there(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    back_up(path, copy)
    before = held(path)
    with room(50_000), pytest.raises(BackupRefused, match="cannot be copied"):
        back_up(path, tmp_path / "backup.db")
    with room(50_000), pytest.raises(BackupRefused, match="cannot be copied"):
        restore_journal(copy, path, replace=True)
    assert held(path) == before
    SqliteJournal.open(path, stream="main").close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy.db", "journal.db", "journal.db.lock"]


def test_two_backups_to_one_name_do_not_mix(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    refusals: list[object] = []

    def progress(part: str, _done: int, _of: int) -> None:
        if part == "copy" and not refusals:
            with pytest.raises(BackupRefused, match="another process") as refusal:
                back_up(path, target)
            refusals.append(refusal)

    back_up(path, target, progress=progress)
    assert refusals
    assert held(target) == held(path)


def test_a_restored_journal_goes_on_in_a_new_epoch(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    back_up(path, target)
    before = target.read_bytes()
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("lost")]))
    old = journal.position()
    journal.close()
    later = held(path)
    restored = restore_journal(target, path, replace=True)
    assert target.read_bytes() == before
    kept = next(each for each in restored.replaced_files if ".replaced-" in each.name and "-wal" not in each.name)
    assert held(kept) == later
    assert verify_journal(kept).is_intact
    assert verify_journal(path).is_intact
    assert restored.summary.epochs[-1].reason == "restored"
    assert restored.summary.epochs[-1].first_offset == old.offset
    journal = SqliteJournal.open(path, stream="main")
    assert journal.epoch not in {each.epoch for each in restored.summary.epochs[:-1]}
    journal.commit(follow(journal, [event("new")]))
    assert journal.position().offset == old.offset
    (event_there,) = journal.events_after(old.offset - 1, limit=9)
    assert event_there.id == f"main:{journal.epoch}:{old.offset}"
    journal.close()
    assert verify_journal(path).is_intact


def test_a_copy_put_in_place_by_hand_goes_on_in_a_new_epoch_too(path: Path, tmp_path: Path) -> None:
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
                connection.executescript(SCHEMA_1.read_text())
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
    assert sorted(each.name for each in path.parent.iterdir()) == ["journal.db", "journal.db.lock"]


def test_an_administrators_restore_is_of_the_bridges_user(
    path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the bridge could not open what it must run on."""
    given = {}
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.chown", lambda file, user, group: given.update({Path(file).name: (user, group)}))
    restore_journal(sample, path, replace=True)
    like = path.stat()
    assert given == dict.fromkeys(("journal.db.restoring", "journal.db.lock"), (like.st_uid, like.st_gid))


def test_a_copy_of_an_older_version_is_restored_as_one_of_this(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(SCHEMA_1.read_text())
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
    assert [each.reason for each in restored.summary.epochs] == ["created", "restored"]
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
    assert [each.reason for each in restored.summary.epochs] == ["created", "plant", "restored"]
    assert verify_journal(path).is_intact
    journal = SqliteJournal.open(path, stream="main")
    assert journal.epoch == restored.summary.epochs[-1].epoch
    journal.close()


def test_a_lost_journal_is_restored_over_what_is_left_of_it(path: Path, sample: Path) -> None:
    """The lock file still knows of the lost one's commits."""
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
    assert sorted(each.name.rpartition("Z")[2] for each in restored.replaced_files) == ["", "-shm", "-wal"]
    kept = crashed.with_name("kept.db")
    for each in restored.replaced_files:
        each.rename(kept.with_name("kept.db" + each.name.rpartition("Z")[2]))
    assert verify_journal(kept).is_intact
    shutil.copy(owner.path.with_name("journal.db.lock"), kept.with_name("kept.db.lock"))
    SqliteJournal.open(kept, stream="main").close()
    assert held(kept) == held(target)


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


def test_a_restore_waits_for_no_reader(path: Path, sample: Path) -> None:
    """When its last reader leaves the old file, SQLite deletes the -wal by its name: the new file's."""
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
    before = held(path)
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
    assert held(path) == before
    SqliteJournal.open(path, stream="main").close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.db", "journal.db", "journal.db.lock"]


def test_what_cannot_be_set_aside_stays_the_journal(path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = held(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(RestoreRefused, match="No space left"):
        restore_journal(sample, path, replace=True)
    SqliteJournal.open(path, stream="main").close()
    assert held(path) == before
