"""A journal of up to ten million events: start, commit, resume, snapshot and retention."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import Batch, Journal, ReadableJournal, RetentionLimits
from tests.bench.large_journal import DECODE, LINES, make, plant, reports
from tests.support.driven_intake import driven_intake, take_with_ticks

T = TypeVar("T")

SIZES: Final = (10_000, 10_000_000)
QUICK_SIZES: Final = (10_000, 1_000_000)
MISSED: Final = 1_000  # events, by a dashboard that resumes
PAGE: Final = 256  # events that a front reads at a time
COMMITS: Final = 100
REPORTS_OF_A_COMMIT: Final = 50
STEP_MS: Final = 5
SAMPLED: Final = 1_000  # events of the past, whose checksums are verified
DAY_MS: Final = 86_400_000
CHUNKS: Final = 10


def measure_journal(path: Path, events: int) -> Mapping[str, float]:
    """Make a journal of so many events and a thousand lines there, return its figures, and remove it.

    `cold`: the kernel has forgotten the file. `recent`: the last events; `old`: from the middle of the journal.
    """
    began = time.perf_counter()
    make(path, events=events)
    figures = {"make_s": time.perf_counter() - began, "file_mb": path.stat().st_size / 1e6}
    forget_pages(path)
    figures |= {f"start_{part}_s": seconds for part, seconds in start(path).items()}
    reader = SqliteReader.open(path, stream="main")
    last = reader.position().offset
    for name, after in (("recent", last - MISSED), ("old", last // 2)):
        forget_pages(path)
        figures[f"resume_{name}_cold_ms"] = _ms(partial(_resume, reader, after))
        figures[f"resume_{name}_ms"] = _ms(partial(_resume, reader, after))
    figures["snapshot_ms"] = min(_ms(reader.snapshot) for _ in range(3))
    _sample(reader, last)
    reader.close()
    journal = SqliteJournal.open(path, stream="main")
    figures |= _commit(journal)
    figures |= _prune(journal)
    journal.close()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    return figures


def forget_pages(path: Path) -> None:
    """Let the kernel read the file from the disk again."""
    with path.open("rb") as file:
        os.fsync(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(path: Path) -> Mapping[str, float]:
    """Do what `floor run` does with its journal before it is ready; return the seconds of each part."""
    parts: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        parts[name] = time.perf_counter() - began
        return result

    journal = timed("checks", lambda: SqliteJournal.open(path, stream="main"))
    ground = plant()
    restored = timed("replay", lambda: restore_floor(ground, journal, decode=DECODE))
    assert restored.replayed >= LINES
    assert restored.differences == 0
    timed("dedup", journal.dedup_window)
    timed("current", journal.snapshot)
    timed("retained", journal.retained_topics)
    journal.close()
    return {**parts, "all": sum(parts.values())}


def _resume(reader: ReadableJournal, after: int) -> None:
    end = after + MISSED
    while after < end:
        page = reader.events_after(after, limit=min(PAGE, end - after))
        assert page[0].offset == after + 1
        after = page[-1].offset


def _sample(reader: ReadableJournal, last: int) -> None:
    """Verify the checksums of some events, as each read does."""
    random = Random(last)
    for _ in range(SAMPLED):
        assert reader.event(random.randint(1, last)) is not None


def _commit(journal: Journal) -> Mapping[str, float]:
    """Commit what the lines report next, batch after batch, each with its fsync."""
    floor = restore_floor(plant(), journal, decode=DECODE).floor
    intake = driven_intake(floor, journal, decode=DECODE)
    messages = reports(LINES)
    batches = []
    for _ in range(COMMITS):
        entries = []
        for topic, payload in islice(messages, REPORTS_OF_A_COMMIT):
            entries += take_with_ticks(intake, topic, payload, now=intake.latest_time + STEP_MS)
        batches.append(Batch(entries=entries))
    times = [_ms(partial(journal.commit, batch)) for batch in batches]
    checkpoints = {line: floor.checkpoint(line) for line in floor.changed_lines()}
    with_checkpoints = _ms(lambda: journal.commit(Batch(entries=(), checkpoints=checkpoints)))
    return {"commit_ms": statistics.median(times), "commit_checkpoints_ms": with_checkpoints}


def _prune(journal: Journal) -> Mapping[str, float]:
    """Remove chunks of what is older than a day; nothing is, in a small journal."""
    journal.mark_published(journal.position().offset, retained=())
    now, keep = journal.last_input()[1], RetentionLimits(events_ms=DAY_MS, inputs_ms=DAY_MS)
    times = [_ms(lambda: journal.prune(now, keep)) for _ in range(CHUNKS)]
    return {"prune_ms": statistics.median(times)}


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000
