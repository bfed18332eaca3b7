"""An export contains every readable event and lists the unreadable ones."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.tools.export import ExportGap, ExportRange, add_gap, export_events, export_inputs
from tests.support.full_journal import full_journal, journal_rows

PAGE_BYTES = 4_096


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "journal.db"
    full_journal(path, rounds=100)
    return path


@pytest.fixture
def path(tmp_path: Path, sample: Path) -> Path:
    return Path(shutil.copy(sample, tmp_path / "copy.db"))


def keys(path: Path) -> tuple[set[int], set[int]]:
    """Return the exported offsets, and those listed as left out."""
    reported: set[int] = set()
    left_out: set[int] = set()
    for line in export_events(path, ExportRange()):
        if isinstance(line, ExportGap):
            left_out |= set(range(line.first, line.last + 1))
        else:
            reported.add(json.loads(line)["event"]["offset"])
    return reported, left_out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=st.sets(st.integers(0, 10_000), min_size=1, max_size=4))
def test_every_event_is_exported_or_listed_as_left_out(sample: Path, path: Path, pages: set[int]) -> None:
    data = bytearray(sample.read_bytes())
    for page in {page % (len(data) // PAGE_BYTES) for page in pages}:
        data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = b"x" * PAGE_BYTES
    path.write_bytes(data)
    try:
        reported, left_out = keys(path)
    except JournalDamaged:  # the page with the tables' roots is lost, and reported
        return
    assert not reported & left_out
    assert (reported | left_out) >= set(range(1, max(reported | left_out, default=0) + 1))
    if journal_rows(path)["meta"] == journal_rows(sample)["meta"]:
        assert (reported | left_out) == set(range(1, len(journal_rows(sample)["events"]) + 1))


def test_readable_rows_are_read_though_others_are_lost(sample: Path, path: Path) -> None:
    data = bytearray(sample.read_bytes())
    bad = data.index(b'"changeover_id":"s50"') // PAGE_BYTES
    data[bad * PAGE_BYTES : (bad + 1) * PAGE_BYTES] = b"x" * PAGE_BYTES
    path.write_bytes(data)
    reported, left_out = keys(path)
    assert 0 < len(left_out) < 20
    assert reported == set(range(1, len(journal_rows(sample)["events"]) + 1)) - left_out


def test_inputs_are_read_without_the_quarantine_where_that_is_lost(sample: Path, path: Path) -> None:
    data = bytearray(sample.read_bytes())
    bad = data.rindex(b"{\x00\x1b[31m") // PAGE_BYTES
    data[bad * PAGE_BYTES : (bad + 1) * PAGE_BYTES] = b"x" * PAGE_BYTES
    path.write_bytes(data)
    lines = list(export_inputs(path, ExportRange()))
    assert not [line for line in lines if isinstance(line, ExportGap)]
    assert len(lines) == len(journal_rows(sample)["inputs"])


def test_neighbours_left_out_for_one_reason_are_one_note() -> None:
    noted: list[ExportGap] = []
    for first, reason in ((1, "a"), (2, "a"), (3, "b"), (5, "b")):
        add_gap(noted, ExportGap("event", first, first, reason))
    assert [str(gap) for gap in noted] == ["events 1 to 2: a", "event 3: b", "event 5: b"]
