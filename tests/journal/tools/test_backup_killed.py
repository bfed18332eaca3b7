"""SIGKILL before every step of a backup and of a restore: nothing half under the name, the old journal still there."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.backup import back_up
from bridge.journal.tools.restore import restore_journal
from bridge.journal.tools.verify import verify_journal
from tests.support.full_journal import full_journal, journal_rows
from tests.support.journal_samples import event, follow

STEPS = frozenset({"open", "os.chmod", "os.link", "os.remove", "os.rename", "os.truncate", "sqlite3.connect"})
"""Audit events of Python that concern files, and the calls that sync and copy."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    full_journal(path)
    return path


def kills(work: Callable[[Callable[..., None]], object]) -> Iterator[int]:
    """Do the work in child after child, each killed one step later; yields after each, up to the one that ends."""
    for survived in range(1_000):
        child = os.fork()
        if child == 0:
            _do(work, survived)
        _, status = os.waitpid(child, 0)
        yield survived
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            assert survived > 10
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def _do(work: Callable[[Callable[..., None]], object], survived: int) -> None:
    left = survived

    def step(*_: object) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def durable(act: Callable[..., object]) -> Callable[..., object]:
        def killed_or_done(*arguments: object) -> object:
            step()
            return act(*arguments)

        return killed_or_done

    failed = 1
    try:
        os.fsync, os.pwrite = durable(os.fsync), durable(os.pwrite)  # type: ignore[assignment]
        sys.addaudithook(lambda name, _: step() if name in STEPS else None)
        work(step)
        failed = 0
    finally:
        os._exit(failed)


def old_ones(path: Path) -> list[Path]:
    return [file for file in path.parent.glob("journal.db*") if file.suffix == ".db" or file.name.endswith("Z")]


@pytest.mark.parametrize("replace", [False, True])
def test_a_killed_backup_leaves_nothing_half_under_its_name(path: Path, tmp_path: Path, *, replace: bool) -> None:
    target = tmp_path / "backup.db"
    before = journal_rows(path)
    if replace:
        target.write_bytes(b"the last one")
    for survived in kills(lambda step: back_up(path, target, replace=replace, progress=step)):
        if target.exists() and target.read_bytes() != b"the last one":
            assert journal_rows(target) == before, survived
            assert verify_journal(target).is_intact
            target.unlink()
        assert target.exists() == replace or not target.exists()
    assert journal_rows(path) == before
    back_up(path, target, replace=True)
    assert not target.with_name("backup.db.partial").exists()


def test_a_killed_restore_keeps_the_old_journal_and_can_be_done_again(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    back_up(path, target)
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("later")]))
    journal.close()
    old = journal_rows(path)
    inputs = journal_rows(target)["inputs"]
    refused = 0
    for survived in kills(lambda step: restore_journal(target, path, replace=True, progress=step)):
        assert any(journal_rows(file) == old for file in old_ones(path)), survived
        try:
            SqliteJournal.open(path, stream="main").close()
        except JournalDamaged:
            refused += 1
        else:
            assert journal_rows(path) == old or journal_rows(path)["inputs"] == inputs
            assert verify_journal(path).is_intact
        if journal_rows(path) != old:  # done, or half done: the same command finishes it
            restore_journal(target, path, replace=True)
            assert verify_journal(path).is_intact
            assert journal_rows(path)["inputs"] == inputs
            assert any(journal_rows(file) == old for file in old_ones(path)), survived
            for file in path.parent.glob("journal.db*"):
                file.unlink()
            restore_and_extend(path, old_from=target)
            old = journal_rows(path)
    assert refused, "some kills are between the mark and the last rename"


def restore_and_extend(path: Path, *, old_from: Path) -> None:
    restore_journal(old_from, path)
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("later")]))
    journal.close()
