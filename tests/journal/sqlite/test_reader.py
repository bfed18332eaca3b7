"""A reader beside the owner: another process reads the journal while the owner writes."""

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bridge.domain.records import CommittedEvent, Snapshot
from bridge.journal.sqlite import reader as reader_module
from bridge.journal.sqlite.errors import JournalDamaged, JournalTooNew, StreamMismatch
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.rows import read_current
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import JournalError, JournalUnavailable
from tests.support.journal_samples import change, event, follow


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    opened.commit(follow(opened, [event("a")]))
    yield opened
    opened.close()


def test_reader_sees_what_the_owner_commits(owner: SqliteJournal) -> None:
    reader = SqliteReader.open(owner.path, stream="main")
    assert reader.position() == owner.position()
    owner.commit(follow(owner, [event("b")]))
    assert reader.events_after(1, limit=9) == owner.events_after(1, limit=9) != []
    assert reader.snapshot() == owner.snapshot()
    owner.close()
    assert reader.position().offset == 2, "the owner may go before the reader"
    reader.close()


def test_reader_refuses_what_the_owner_would(owner: SqliteJournal, tmp_path: Path) -> None:
    with pytest.raises(StreamMismatch):
        SqliteReader.open(owner.path, stream="other")
    with pytest.raises(JournalError, match="no journal"):
        SqliteReader.open(tmp_path / "nowhere.db", stream="main")
    assert not (tmp_path / "nowhere.db").exists()
    change(owner.path, "PRAGMA user_version = 99")
    with pytest.raises(JournalTooNew):
        SqliteReader.open(owner.path, stream="main")


def test_topic_retained_for_another_state_key_is_damage(owner: SqliteJournal) -> None:
    topic = owner.snapshot().events[0].topic
    key = (*topic.state_key[:5], "b")
    owner.mark_published(1, retained=[(key, topic)])
    with pytest.raises(JournalDamaged, match=f"{topic} is noted as retained for {'/'.join(key)}"):
        owner.retained_topics()


def test_reader_stays_with_no_file_that_was_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    former = SqliteJournal.open(path, stream="main")
    former.commit(follow(former, [event("a")]))
    reader = SqliteReader.open(path, stream="main")
    before, events = former.position(), former.snapshot().events

    def read_while_it_is_replaced(connection: sqlite3.Connection, file: Path) -> tuple[CommittedEvent, ...]:
        assert reader.position() == before
        former.close()
        for moved in sorted(tmp_path.glob("journal.db*")):
            moved.rename(moved.with_name(f"aside.{moved.name}"))
        with pytest.raises(JournalUnavailable):
            reader.position()
        opened.append(SqliteJournal.open(path, stream="main"))
        assert reader.position() == opened[0].position()
        return read_current(connection, file)

    opened: list[SqliteJournal] = []
    with monkeypatch.context() as reading:
        reading.setattr(reader_module, "read_current", read_while_it_is_replaced)
        assert reader.snapshot() == Snapshot(before, events)
    (present,) = opened
    assert reader.position() == present.position()
    assert reader.position().epoch != former.epoch
    present.commit(follow(present, [event("b")], [event("c")]))
    assert [committed.offset for committed in reader.events_after(0, limit=9)] == [1, 2]
    reader.close()
    present.close()


def test_the_last_reader_to_leave_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    wal = tmp_path / "journal.db-wal"
    command = [sys.executable, "-m", "tests.support.journal_samples", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        durable = [int(killed.stdout.readline()) for _ in range(3)][-1]
        killed.kill()
    before = path.read_bytes(), wal.read_bytes()
    reader = SqliteReader.open(path, stream="main")
    assert reader.position().offset >= durable
    reader.close()
    assert (path.read_bytes(), wal.read_bytes()) == before


@contextmanager
def no_file_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        highest = os.open(os.devnull, os.O_RDONLY)
        stack.callback(os.close, highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        yield


def test_reading_without_file_descriptors_fails_for_now(owner: SqliteJournal) -> None:
    reader = SqliteReader.open(owner.path, stream="main")
    following = follow(owner, [event("b")])
    with no_file_descriptors():
        with pytest.raises(JournalUnavailable):
            reader.position()
        owner.commit(following)
    assert reader.position().offset == 2
    reader.close()
