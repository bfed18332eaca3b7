"""A bridge that was down for days makes up what became due meanwhile: a piece at a time, and all of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.adapters.clock import FloorClock, wall_ms
from bridge.domain.records import JournalEntry
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline import commit_queue, deadline_scheduler
from bridge.pipeline.pipeline import FOR_EVER, Pipeline
from bridge.pipeline.replay import restore_floor
from bridge.ports.journal import RetentionLimits
from tests.pipeline.test_slow_commits import Tap
from tests.support.brokers import until
from tests.support.running_pipeline import PLANT, ROOT

HOUR_MS = 3_600_000
AWAY_MS = 30 * HOUR_MS
MOST_EVENTS = 20


@asynccontextmanager
async def bridge(
    path: Path, tap: Tap, *, later: int, keep: RetentionLimits = FOR_EVER
) -> AsyncIterator[tuple[Pipeline, list[Sequence[JournalEntry]]]]:
    """A pipeline whose clock is `later` ms ahead of ours, and the batches that it committed."""
    journal = SqliteJournal.open(path, stream="main")
    pipeline = Pipeline(
        tap,
        journal,
        restore_floor(PLANT, journal, decode=decode).floor,
        FloorClock(wall=lambda: wall_ms() + later, not_before=journal.last_input()[1]),
        decode=decode,
        root=ROOT,
        commit_max_inputs=100,
        commit_max_ms=1,
        checkpoint_seconds=0.05,
        keep=keep,
    )
    batches: list[Sequence[JournalEntry]] = []
    pipeline.add_listener(batches.append)
    run = asyncio.create_task(pipeline.run())
    yield pipeline, batches
    pipeline.stop()
    await run
    journal.close()


async def test_what_became_due_in_days_is_made_up_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline_scheduler, "HOLD_SECONDS", 0.0)  # on any machine, however fast
    monkeypatch.setattr(commit_queue, "MOST_EVENTS", MOST_EVENTS)
    path = tmp_path / "journal.db"
    first, second = Tap(1), Tap(2)
    second.left.popleft()
    async with bridge(path, first, later=0):
        await until(lambda: first.acknowledged == [1], what="a report, so that the line lives")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with bridge(path, second, later=AWAY_MS) as (pipeline, batches):
        beside = asyncio.create_task(others())
        await until(lambda: second.acknowledged == [2], seconds=60, what="the report after all that was due")
        beside.cancel()
        assert pipeline.status().ready
    entries = [entry for batch in batches for entry in batch]
    ticks = [entry for entry in entries if not entry.input.topic]
    largest = max(len(entry.events) for entry in entries)  # the report revises the windows of all that time
    assert len(ticks) > AWAY_MS / HOUR_MS / 2, "each hour has an end, at least"
    assert turns > len(ticks), "the loop was left to others after every piece"
    assert max(sum(len(entry.events) for entry in batch) for batch in batches) <= MOST_EVENTS + largest
    arrivals = [entry.input.received_at for entry in entries]
    assert arrivals == sorted(arrivals)
    assert all(event.timestamp <= entry.input.received_at for entry in ticks for event in entry.events)
    journal = SqliteJournal.open(path, stream="main")
    journal._writer.execute("DELETE FROM checkpoints")
    assert restore_floor(PLANT, journal, decode=decode).differences == 0
    journal.close()


async def test_a_clock_that_is_far_ahead_at_the_start_makes_no_history_old(tmp_path: Path) -> None:
    """Retention by age counts from what arrived last, and the time that has passed since the start."""
    path = tmp_path / "journal.db"
    first, second = Tap(1), Tap(0)
    async with bridge(path, first, later=0):
        await until(lambda: first.acknowledged == [1], what="a report")
    keep = RetentionLimits(events_ms=AWAY_MS, inputs_ms=AWAY_MS)
    async with bridge(path, second, later=10 * AWAY_MS, keep=keep) as (pipeline, _):
        asked: list[int] = []
        journal = pipeline._committer._journal
        prune = journal.prune

        def watch(now: int, keep: RetentionLimits) -> int:
            asked.append(now)
            return prune(now, keep)

        journal.prune = watch  # type: ignore[method-assign]
        await until(lambda: len(asked) > 3, what="retention is looked after")
        assert journal.inputs_after(0, limit=1)[0].input.number == 1
    assert max(asked) < wall_ms() + HOUR_MS
