"""The log's warnings about counters that do not fit the plant file."""

from pathlib import Path

import structlog

from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.pipeline.counter_fit_monitor import CounterFitMonitor
from tests.pipeline.pipeline_run import run_pipeline
from tests.support.brokers import until
from tests.support.fake_link import FakeLink
from tests.support.in_process import PLANT
from tests.support.journal_samples import journal_of_counts


def fit(*, over: float) -> CounterFit:
    return CounterFit(held=0, released=0, refused=0, proven_rate=over, max_rate=60.0)


def test_a_greatest_rate_that_is_too_low_is_logged_once() -> None:
    watch = CounterFitMonitor()
    with structlog.testing.capture_logs() as logs:
        watch.log_changes({("L1", "bagger"): fit(over=0.0)})
        watch.log_changes({("L1", "bagger"): fit(over=90.0), ("L2", "bagger"): fit(over=0.0)})
        watch.log_changes({("L1", "bagger"): fit(over=95.0)})
        watch.log_changes({})
        watch.log_changes({("L1", "bagger"): fit(over=95.0)})
    assert logs == [
        {
            "event": "counters.max_rate_too_low",
            "log_level": "warning",
            "line": "L1",
            "equipment": "bagger",
            "seen_per_minute": 90.0,
            "max_rate_per_minute": 60.0,
        },
    ]


async def test_the_pipeline_looks_at_the_counters(link: FakeLink, path: Path) -> None:
    """A machine that was observed above the rate of its plant file before this start."""
    journal_of_counts(path, PLANT, "bagger", range(0, 9_000, 3_000))
    with structlog.testing.capture_logs() as logs:
        async with run_pipeline(link, path, checkpoint_seconds=0.05) as run:
            await until(lambda: any(entry["event"] == "counters.max_rate_too_low" for entry in logs), what="logged")
        assert run.pipeline.counter_fits()["L1", "bagger"].max_rate_is_too_low
