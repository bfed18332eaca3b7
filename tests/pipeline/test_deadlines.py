"""A bridge that was down for days makes up what became due meanwhile: a piece at a time, and all of it."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bridge.adapters.clock import FloorClock, wall_ms
from bridge.domain.records import JournalEntry
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline import commit_queue, deadline_scheduler
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import RetentionLimits
from tests.pipeline.pipeline_run import run_pipeline
from tests.pipeline.test_slow_commits import counting
from tests.support.brokers import until
from tests.support.fake_link import FakeLink
from tests.support.in_process import PLANT
from tests.support.journal_samples import forget_checkpoints

HOUR_MS = 3_600_000
ABSENT_MS = 30 * HOUR_MS
MAX_BATCH_EVENTS = 20


def clock(*, later: int) -> FloorClock:
    """Return floor time of a host whose wall clock is `later` ms ahead of ours."""
    return FloorClock(wall=lambda: wall_ms() + later, not_before=0)


async def report_once(path: Path) -> None:
    """Have a pipeline take one report, so that the line lives."""
    link = counting(1)
    async with run_pipeline(link, path, checkpoint_seconds=0.05):
        await until(lambda: link.acknowledged == [1], what="a report")


async def test_deadlines_of_several_days_are_caught_up_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline_scheduler, "MAX_BLOCK_SECONDS", 0.0)  # on any machine, however fast
    monkeypatch.setattr(commit_queue, "MAX_BATCH_EVENTS", MAX_BATCH_EVENTS)
    path = tmp_path / "journal.db"
    await report_once(path)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    link, batches = counting(1, after=1), list[Sequence[JournalEntry]]()
    async with run_pipeline(link, path, clock=clock(later=ABSENT_MS)) as run:
        run.pipeline.add_listener(batches.append)
        beside = asyncio.create_task(others())
        await until(lambda: link.acknowledged == [1], seconds=60, what="the report after all that was due")
        beside.cancel()
        assert run.pipeline.status().ready
    entries = [entry for batch in batches for entry in batch]
    ticks = [entry for entry in entries if not entry.input.topic]
    largest = max(len(entry.events) for entry in entries)  # the report revises the windows of all that time
    assert len(ticks) > ABSENT_MS / HOUR_MS / 2, "each hour has an end, at least"
    assert turns > len(ticks), "the loop was left to others after every piece"
    assert max(sum(len(entry.events) for entry in batch) for batch in batches) <= MAX_BATCH_EVENTS + largest
    arrivals = [entry.input.received_at for entry in entries]
    assert arrivals == sorted(arrivals)
    assert all(event.timestamp <= entry.input.received_at for entry in ticks for event in entry.events)
    forget_checkpoints(path)
    with closing(SqliteJournal.open(path, stream="main")) as journal:
        assert restore_floor(PLANT, journal, decode=decode).differences == 0


async def test_a_clock_that_is_far_ahead_at_the_start_makes_no_history_old(tmp_path: Path) -> None:
    """Retention by age counts from what arrived last, and the time that has passed since the start."""
    path = tmp_path / "journal.db"
    await report_once(path)
    times: list[int] = []
    with closing(SqliteJournal.open(path, stream="main")) as journal:
        prune = journal.prune

        def watch(now: int, keep: RetentionLimits) -> int:
            times.append(now)
            return prune(now, keep)

        journal.prune = watch  # type: ignore[method-assign]
        async with run_pipeline(
            FakeLink(),
            path,
            journal=journal,
            clock=clock(later=10 * ABSENT_MS),
            checkpoint_seconds=0.05,
            keep=RetentionLimits(events_ms=ABSENT_MS, inputs_ms=ABSENT_MS),
        ):
            await until(lambda: len(times) > 3, what="retention is looked after")
            assert journal.inputs_after(0, limit=1)[0].input.number == 1
    assert max(times) < wall_ms() + HOUR_MS
