"""A disk that is slow, fails and recovers at any moment: order is kept, memory bounded, nothing acknowledged early."""

import asyncio
import itertools
import random
import threading
from pathlib import Path

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.pipeline import APPLY_CHUNK
from bridge.ports.journal import Batch, CommitFailed
from tests.pipeline.pipeline_run import deliver, run_pipeline
from tests.support.brokers import until
from tests.support.fake_link import FakeLink


class GatedJournal(SqliteJournal):
    """A journal on a disk whose pace the test sets: each commit waits at the gate, and may then fail."""

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **more)  # type: ignore[arg-type]
        self.gate = threading.Semaphore(0)
        self.failing = False

    def commit(self, batch: Batch) -> None:
        assert self.gate.acquire(timeout=30)
        if self.failing:
            raise CommitFailed("input/output error")
        super().commit(batch)


def counting(reports: int, *, after: int = 0) -> FakeLink:
    """Return a link that has so many reports of a counter at once, which has counted to `after` before."""
    link = FakeLink()
    for number in range(after + 1, after + reports + 1):
        deliver(link, "report/bagger/counts", total=number, boot_id=1, seq=number)
    return link


@pytest.mark.parametrize(("most", "reports"), [(1, 40), (7, 200), (250, 800)])
@pytest.mark.parametrize("seed", range(2))
async def test_any_pace_of_the_disk_keeps_the_order_and_bounds_what_is_held(
    tmp_path: Path, seed: int, most: int, reports: int
) -> None:
    chance = random.Random(seed)
    journal = GatedJournal.open(tmp_path / "journal.db", stream="main")
    link = counting(reports)
    async with run_pipeline(
        link, journal.path, journal=journal, commit_max_inputs=most, checkpoint_seconds=0.05
    ) as run:
        for turn in itertools.count():
            journal.failing = chance.random() < 0.2
            journal.gate.release()
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            status = run.pipeline.status()
            assert not any(status.unaccounted.values())
            assert sum(status.in_flight.values()) <= APPLY_CHUNK + 2 * most + 2, (
                "a chunk, a batch in commit, a batch pending"
            )
            if turn % 50 == 0:
                acknowledged = len(link.acknowledged)  # before: the pipeline continues during the read
                committed = (await asyncio.to_thread(journal.last_input))[0]
                assert acknowledged <= committed
            if len(link.acknowledged) == reports:
                break
        journal.failing = False
        journal.gate.release(100)
        # A checkpoint may have met the failing disk, and a stop would not try again.
        await until(lambda: run.pipeline.status().ready and run.pipeline.status().committing_since is None)
    assert link.acknowledged == list(range(1, reports + 1)), "in the order of their arrival, each once"
    durable = [entry.input.number for entry in run.entries]
    assert durable == sorted(durable)
    assert link.most_held <= APPLY_CHUNK + 2 * most
    journal.close()
