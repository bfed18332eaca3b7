"""Seeded runs: a dashboard has every alarm once and the true state, or receives counts (promises P2, P3, P4).

Each run is determined by a seed, and by the byte after which the first dashboard's first connection is cut. A failure
prints how to repeat its run alone: `RESUME_RUN=seed:bytes pytest tests/front/simulation/test_resume.py`.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from random import Random

import pytest

from tests.front.simulation.resume_run import ResumeRun, run_seed

AGAIN = "RESUME_RUN"
ROOT = Path(__file__).parents[3]


def every_cut(first_seed: int) -> Iterator[ResumeRun]:
    """Runs without end: each seed's own, then the same cut after every frame and somewhere within it."""
    for seed in count(first_seed):
        complete_run = run_seed(seed)
        yield complete_run
        chance = Random(seed)
        start = 0
        for end in complete_run.frame_ends:
            yield run_seed(seed, cut_after=end)
            yield run_seed(seed, cut_after=chance.randint(start, end - 1))
            start = end


def uncut_runs(first_seed: int) -> Iterator[ResumeRun]:
    return (run_seed(seed) for seed in count(first_seed))


def run_all(runs: Iterator[ResumeRun]) -> Counter[str]:
    """Run these, or the one that the environment names; return counts of connections, events and gaps."""
    if again := os.environ.get(AGAIN):
        seed, _, cut = again.partition(":")
        runs = iter([run_seed(int(seed), cut_after=int(cut) if cut else None)])
    counts: Counter[str] = Counter()
    for run in runs:
        counts["runs"] += 1
        for board in run.boards:
            counts["connections"] += board.checked.connections
            counts["log entries"] += len(board.client.log)
            counts["gaps reported"] += board.client.gaps
            counts["conflated"] += board.client.conflated.total()
    return counts


def test_every_alarm_comes_once_and_the_state_is_true_whatever_happens() -> None:
    counts = run_all(islice(uncut_runs(0), 150))
    if AGAIN not in os.environ:
        # The runs are about these: without them they would prove nothing.
        assert min(counts[name] for name in ("gaps reported", "conflated")) > 25, counts


def test_it_does_so_too_when_the_connection_is_cut_at_every_frame_and_within() -> None:
    run_all(islice(every_cut(1_000), 150))


def test_a_seed_decides_a_run_in_every_process() -> None:
    """Python orders a set of texts differently in each process, unless PYTHONHASHSEED fixes it."""
    script = (
        "from tests.front.simulation.resume_run import run_seed; "
        "print([run_seed(seed).fingerprint for seed in range(3)])"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("0", "3")  # two in which {line_status_update, production_update} has different orders
    ]
    first, second = (process.communicate()[0] for process in processes)
    assert first
    assert first == second


@pytest.mark.proof
def test_it_does_so_ten_thousand_times() -> None:
    first_seed = 100_000
    counts = run_all(islice(every_cut(first_seed), 10_000))
    print(f"\nseeds from {first_seed}: {dict(counts)}")  # noqa: T201 - a proof says what it proved
