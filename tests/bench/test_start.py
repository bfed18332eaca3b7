"""Duration of a start with 1,000 lines, by part. It does not grow with the number of events."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from tests.bench.large_journal import DECODE, LINES, make, plant

T = TypeVar("T")

pytestmark = pytest.mark.bench

FEW = 1_000
MANY = int(os.environ.get("EVENTS", "1_000_000"))  # EVENTS=10_000_000 needs 8 GB of disk and some minutes
AT_MOST = 3  # times as long: what it takes is the lines' state, whatever is behind it


def forget_pages(path: Path) -> None:
    """Let the kernel read the file from the disk again."""
    with path.open("rb") as file:
        os.fsync(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(path: Path) -> dict[str, float]:
    """Do what `floor run` does with its journal before it is ready; returns the seconds of each part."""
    parts: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        parts[name] = time.perf_counter() - began
        return result

    journal = timed("open and check", lambda: SqliteJournal.open(path, stream="main"))
    ground = plant()
    restored = timed("checkpoints and tail", lambda: restore_floor(ground, journal, decode=DECODE))
    assert restored.replayed >= LINES
    assert restored.differences == 0
    timed("known resends", journal.dedup_window)
    timed("what is current", journal.snapshot)
    timed("what is retained", journal.retained_topics)
    journal.close()
    return parts


def test_start_up_time_does_not_grow_with_the_events(tmp_path: Path) -> None:
    times: dict[int, dict[str, float]] = {}
    for events in (FEW, MANY):
        path = tmp_path / str(events) / "journal.db"
        make(path, events=events)
        print(f"\n{events:,} events of the past, {LINES:,} lines: {path.stat().st_size / 1e6:,.0f} MB")  # noqa: T201
        best: dict[str, float] = {}
        for _ in range(3):
            forget_pages(path)
            parts = start(path)
            best = parts if not best or sum(parts.values()) < sum(best.values()) else best
        times[events] = best
        path.unlink()
    few, many = times[FEW], times[MANY]
    for name in few:
        print(f"  {name:22} {few[name]:7.3f} s {many[name]:7.3f} s   {many[name] / few[name]:5.1f} times")  # noqa: T201
    ratio = sum(many.values()) / sum(few.values())
    print(f"  {'in all':22} {sum(few.values()):7.3f} s {sum(many.values()):7.3f} s   {ratio:5.1f} times")  # noqa: T201
    assert ratio < AT_MOST
