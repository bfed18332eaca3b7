"""Duration of a start with 1,000 lines, by part. It does not grow with the number of events."""

import os
from pathlib import Path

import pytest

from tests.bench.large_journal import LINES, make
from tests.bench.scale.journal import forget_pages, start

pytestmark = pytest.mark.bench

FEW = 1_000
MANY = int(os.environ.get("EVENTS", "1_000_000"))  # EVENTS=10_000_000 needs 7 GB of disk and some minutes
AT_MOST = 3  # times as long: what it takes is the lines' state, whatever is behind it


def test_start_up_time_does_not_grow_with_the_events(tmp_path: Path) -> None:
    times = {}
    for events in (FEW, MANY):
        path = tmp_path / str(events) / "journal.db"
        make(path, events=events)
        print(f"\n{events:,} events of the past, {LINES:,} lines: {path.stat().st_size / 1e6:,.0f} MB")  # noqa: T201
        starts = []
        for _ in range(3):
            forget_pages(path)
            starts.append(start(path))
        times[events] = min(starts, key=lambda parts: parts["all"])
        path.unlink()
    few, many = times[FEW], times[MANY]
    for name in few:
        print(f"  {name:22} {few[name]:7.3f} s {many[name]:7.3f} s   {many[name] / few[name]:5.1f} times")  # noqa: T201
    ratio = many["all"] / few["all"]
    assert ratio < AT_MOST
