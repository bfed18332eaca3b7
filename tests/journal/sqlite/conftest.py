"""Journals of older schemas."""

from pathlib import Path

import pytest

from tests.support.journal_samples import make_older_journal, make_schema_2

OLDER = ("schema_1.sql", "schema_2.sql", "schema_3.sql", "schema_3_from_1.sql")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A journal of schema 2."""
    path = tmp_path / "second.db"
    make_schema_2(path)
    return path


@pytest.fixture(params=OLDER)
def older(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A journal of each older schema."""
    path = tmp_path / "older.db"
    make_older_journal(path, request.param)
    return path
