"""Epochs of a journal: when a new one begins, and what continues from the older one."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.domain.events import Standing
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch, CommitFailed
from tests.support.journal_samples import change, event, follow, open_connected, query


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    opened.commit(follow(opened, [event("a"), event("b"), event("c")]))
    yield opened
    opened.close()


def test_offsets_continue_in_a_new_epoch_and_retired_keys_are_no_longer_current(journal: SqliteJournal) -> None:
    first = journal.epoch
    a, b, _ = journal.snapshot().events
    journal.commit(Batch(entries=[], retired_keys=[a.state_key, b.state_key]))
    assert journal.epoch != first
    assert journal.position().epoch == journal.snapshot().position.epoch == journal.epoch
    journal.commit(follow(journal, [event("d")]))
    assert [committed.id.split(":")[1:] for committed in journal.events_after(0, limit=9)] == [
        [first, "1"],
        [first, "2"],
        [first, "3"],
        [journal.epoch, "4"],
    ]
    assert [committed.offset for committed in journal.snapshot().events] == [3, 4]
    again = SqliteReader.open(journal.path, stream="main")
    assert again.epoch == journal.epoch
    again.close()


def test_every_epoch_is_noted_with_where_it_began_and_why(journal: SqliteJournal) -> None:
    first = journal.epoch
    journal.commit(Batch(entries=[], retired_keys=()))
    assert query(journal.path, "SELECT epoch, first_offset, reason FROM epochs ORDER BY first_offset") == [
        (first, 1, "created"),
        (journal.epoch, 4, "plant"),
    ]


def test_new_epoch_begins_whole_or_not_at_all(journal: SqliteJournal) -> None:
    before = journal.epoch
    keys = [event.state_key for event in journal.snapshot().events]
    change(journal.path, "CREATE TRIGGER full BEFORE INSERT ON epochs BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        journal.commit(Batch(entries=[], retired_keys=keys))
    assert journal.epoch == journal.position().epoch == before
    assert len(journal.snapshot().events) == 3


def test_retired_key_may_become_current_again(journal: SqliteJournal) -> None:
    journal.commit(Batch(entries=[], retired_keys=[committed.state_key for committed in journal.snapshot().events]))
    assert journal.snapshot().events == ()
    journal.commit(follow(journal, [event("a", revision=2)], [event("a", standing=Standing.HISTORY)]))
    assert [committed.offset for committed in journal.snapshot().events] == [4]


def test_reader_of_another_process_sees_the_new_epoch(journal: SqliteJournal) -> None:
    reader = SqliteReader.open(journal.path, stream="main")
    before = reader.position().epoch
    journal.commit(Batch(entries=[], retired_keys=()))
    assert reader.position().epoch == journal.epoch != before
    assert reader.snapshot().position.epoch == journal.epoch
    reader.close()


def test_new_epoch_on_a_full_disk_fails_as_a_commit_does(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.close()
    full, connection = open_connected(journal.path, monkeypatch)
    connection.execute("PRAGMA query_only=ON")
    with pytest.raises(CommitFailed):
        full.commit(Batch(entries=[], retired_keys=()))
    full.close()
