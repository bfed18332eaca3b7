"""Journals for the tests of the journal's tools."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from tests.support.full_journal import fill, full_journal


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "journal.db"
    full_journal(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    full_journal(path)
    return path


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal that is owned, with some of it still in its -wal."""
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    fill(journal)
    yield journal
    journal.close()
