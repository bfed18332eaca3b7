"""A floor of 10 to 10,000 lines: CPU of a report, memory, checkpoints and restore."""

import gc
import os
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from bridge.domain.intake import Intake
from bridge.domain.line.floor import Floor
from tests.bench.large_journal import DECODE, plant, reports
from tests.support.driven_intake import driven_intake, take_with_ticks
from tests.support.journal_samples import NOON

T = TypeVar("T")

SIZES: Final = (10, 100, 1_000, 10_000)
QUICK_SIZES: Final = (10, 1_000)
ROUND_MS: Final = 10_000  # in which every line reports its state and its counts once
FIRST_REPORTS: Final = 3  # of a line: state, counts, and a call that stays open
MEASURED_LINES: Final = 1_000  # at least: few lines are measured on several floors


def measure_lines(count: int) -> Mapping[str, float]:
    """Return the figures of so many lines, with two reports a line every ten seconds, in the second ten seconds.

    `report_us`: CPU of a report, with the events of the deadlines that are due before it. `visit_ms`: of what visits
    every line every five seconds. Run it in a process of its own, or memory is not that of the lines.
    """
    copies = max(1, MEASURED_LINES // count)
    before = _resident_bytes()
    plant_file, plant_s = _timed(lambda: plant(count))
    floor, floor_s = _timed(lambda: Floor(plant_file))
    floors = [floor, *(Floor(plant_file) for _ in range(copies - 1))]
    loads = [(driven_intake(copy, decode=DECODE), reports(count)) for copy in floors]
    for intake, messages in loads:
        _apply_round(intake, islice(messages, FIRST_REPORTS * count), number=FIRST_REPORTS * count)
    gc.collect()
    memory = _resident_bytes() - before
    events, applied_s = _timed(
        lambda: sum(_apply_round(intake, islice(messages, 2 * count), number=2 * count) for intake, messages in loads)
    )
    applied = 2 * count * copies
    changed = [f"L{number}" for number in range(count)]
    checkpoints, checkpoint_s = _timed(lambda: {line: floor.checkpoint(line) for line in changed})
    _, restore_s = _timed(lambda: Floor.restore(plant_file, checkpoints))
    _, visit_s = _timed(lambda: (floor.counter_fits(), floor.ineffective_devices(), floor.gaps_by_line()))
    return {
        "report_us": applied_s / applied * 1e6,
        "events_per_report": events / applied,
        "line_kb": memory / count / copies / 1e3,
        "checkpoint_ms": checkpoint_s * 1e3,
        "checkpoint_mb": sum(map(len, checkpoints.values())) / 1e6,
        "plant_s": plant_s,
        "floor_s": floor_s,
        "restore_s": restore_s,
        "visit_ms": visit_s * 1e3,
    }


def _apply_round(intake: Intake, messages: Iterable[tuple[str, bytes]], *, number: int) -> int:
    """Apply so many messages within a round; return the number of their events."""
    at, events = float(max(intake.latest_time, NOON)), 0
    for topic, payload in messages:
        at += ROUND_MS / number
        events += sum(len(entry.events) for entry in take_with_ticks(intake, topic, payload, now=int(at)))
    return events


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return the result, and the seconds of CPU."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
