"""The -wal is bounded, and shrinks again when its last reader is gone."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from bridge.journal.sqlite import wal
from bridge.journal.sqlite.file import connect
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from tests.support.journal_samples import applied

MEGABYTE = 1_000_000
BOUND = 8 * MEGABYTE


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteJournal]:
    monkeypatch.setattr(wal, "SIZE_LIMIT_BYTES", BOUND // 4)
    monkeypatch.setattr(wal, "TRUNCATE_BYTES", BOUND)
    monkeypatch.setattr(wal, "RETRY_STEP_BYTES", BOUND // 4)
    opened = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    yield opened
    opened.close()


def commit(journal: SqliteJournal, *, megabytes: int) -> None:
    for _ in range(megabytes):
        journal.commit(Batch(entries=[applied(journal.last_input()[0] + 1, payload=bytes(MEGABYTE))]))


def wal_bytes(journal: SqliteJournal) -> int:
    return journal.path.with_name("journal.db-wal").stat().st_size


@contextmanager
def long_reader(path: Path) -> Iterator[None]:
    """Hold one transaction, as a backup does."""
    with closing(connect(path, writer=False)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchone()
        yield


def test_the_wal_grows_under_a_long_reader_and_shrinks_when_it_is_gone(journal: SqliteJournal) -> None:
    with long_reader(journal.path):
        commit(journal, megabytes=20)
        assert wal_bytes(journal) > 20 * MEGABYTE
    commit(journal, megabytes=4)
    assert wal_bytes(journal) < BOUND


def test_the_wal_is_cut_below_its_bound_too(journal: SqliteJournal) -> None:
    with long_reader(journal.path):
        commit(journal, megabytes=6)
    commit(journal, megabytes=2)
    assert wal_bytes(journal) < BOUND // 2


def test_the_wal_is_bounded_under_readers_who_take_turns(journal: SqliteJournal) -> None:
    """There is always a short reader: SQLite alone would never restart the -wal."""
    commit(journal, megabytes=1)
    done = threading.Event()

    def read() -> None:
        with ExitStack() as stack:
            while not done.is_set():
                following = ExitStack()
                following.enter_context(long_reader(journal.path))
                stack.close()
                stack.push(following)

    reading = threading.Thread(target=read)
    reading.start()
    largest = 0
    try:
        for _ in range(40):
            commit(journal, megabytes=1)
            largest = max(largest, wal_bytes(journal))
    finally:
        done.set()
        reading.join()
    assert largest < 2 * BOUND
    assert len(journal.inputs_after(0, limit=100)) == 41


def test_commits_continue_while_the_wal_is_held(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "TRUNCATE_WAIT_MS", 1)
    with long_reader(journal.path):
        commit(journal, megabytes=30)
        assert journal.last_input()[0] == 30
