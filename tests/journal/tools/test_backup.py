"""A backup is complete under its name, or absent."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools import backup as journal_backup
from bridge.journal.tools.backup import BackupRefused, VerificationFailed, back_up
from bridge.journal.tools.read_only import NoJournal
from bridge.journal.tools.restore import restore_journal
from bridge.journal.tools.verify import verify_journal
from tests.support.full_journal import journal_rows
from tests.support.journal_samples import event, follow


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b'"changeover_id":"s5"') + 18] ^= 1
    path.write_bytes(data)


def test_a_backup_is_all_of_the_journal_at_one_moment(
    owner: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is committed meanwhile: the copy is neither restarted nor mixed."""
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
    assert [path.name for path in target.parent.iterdir()] == ["backup.db"]
    assert verify_journal(target).is_intact
    assert verify_journal(owner.path).is_intact


def test_a_backup_replaces_only_when_forced(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("something else")
    with pytest.raises(BackupRefused, match="--force"):
        back_up(path, target)
    assert target.read_text() == "something else"
    back_up(path, target, replace=True)
    assert journal_rows(target) == journal_rows(path)
    with pytest.raises(BackupRefused):
        back_up(path, path, replace=True)
    with pytest.raises(BackupRefused, match="no such folder"):
        back_up(path, tmp_path / "away" / "backup.db")
    with pytest.raises(NoJournal):
        back_up(tmp_path / "none.db", tmp_path / "none-copy.db")
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock", ".new", ".restoring"])
@pytest.mark.parametrize("link", [None, "hardlink_to", "symlink_to"])
def test_a_backup_never_replaces_a_file_of_the_journal(
    owner: SqliteJournal, tmp_path: Path, suffix: str, link: str | None
) -> None:
    """SQLite and the owner open them by name: a replaced -wal loses acknowledged commits."""
    own = owner.path.with_name(owner.path.name + suffix)
    target = own
    if link is not None:
        own.touch()
        target = tmp_path / "backup.db"
        getattr(target, link)(own)
    before = own.read_bytes() if own.exists() else None
    with pytest.raises(BackupRefused, match="a file of the journal"):
        back_up(owner.path, target, replace=True)
    assert (own.read_bytes() if own.exists() else None) == before
    assert verify_journal(owner.path).is_intact


def test_a_backup_through_a_link_does_not_replace_the_files_beside_its_target(
    owner: SqliteJournal, tmp_path: Path
) -> None:
    link = tmp_path / "elsewhere.db"
    link.symlink_to(owner.path)
    for name in ("elsewhere.db-wal", "journal.db-wal", "journal.db.lock"):
        with pytest.raises(BackupRefused, match="a file of the journal"):
            back_up(link, tmp_path / name, replace=True)


def test_a_backup_writes_its_unfinished_copy_over_no_journal(path: Path) -> None:
    journal = path.rename(path.with_name("copy.db.partial"))
    before = journal.read_bytes()
    with pytest.raises(BackupRefused, match="a file of the journal"):
        back_up(journal, path.with_name("copy.db"))
    assert journal.read_bytes() == before


def test_a_backup_does_not_replace_another_journal_in_use(owner: SqliteJournal, sample: Path) -> None:
    with pytest.raises(BackupRefused, match="in use"):
        back_up(sample, owner.path, replace=True)
    with pytest.raises(BackupRefused, match="a file of the journal"):
        back_up(sample, owner.path.with_name("journal.db-wal"), replace=True)
    assert verify_journal(owner.path).is_intact


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
    before = journal_rows(path)
    with room(50_000), pytest.raises(BackupRefused, match="cannot be copied"):
        back_up(path, tmp_path / "backup.db")
    with room(50_000), pytest.raises(BackupRefused, match="cannot be copied"):
        restore_journal(copy, path, replace=True)
    assert journal_rows(path) == before
    SqliteJournal.open(path, stream="main").close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "journal.db", "journal.db.lock"]


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
    assert journal_rows(target) == journal_rows(path)
