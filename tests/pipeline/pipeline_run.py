"""The pipeline alone, with a real journal, behind a link that receives what the test delivers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.adapters.clock import FloorClock
from bridge.domain.line.floor import Floor
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.pipeline import KEEP_ALL, Pipeline
from bridge.pipeline.replay import RestoredFloor, restore_floor
from bridge.ports.journal import RetentionLimits
from tests.support.brokers import until
from tests.support.committed_entries import CommittedEntries
from tests.support.fake_link import ROOT, FakeLink
from tests.support.in_process import PLACE, PLANT

STOP_SECONDS: Final = 10.0


@dataclass(slots=True, kw_only=True)
class PipelineRun(CommittedEntries):
    """A running pipeline, and what it committed since it started."""

    restored: RestoredFloor
    pipeline: Pipeline
    task: asyncio.Task[None]

    async def ready(self) -> None:
        await until(lambda: self.pipeline.status().ready, what="ready")

    async def messages(self, count: int) -> None:
        """Wait until so many messages are committed."""
        try:
            await until(lambda: len(self.dispositions()) >= count, what=f"{count} messages")
        except AssertionError as error:
            raise AssertionError(f"have {self.dispositions()}") from error

    async def kill(self) -> None:
        """End it without an orderly stop: no last commit, no checkpoint."""
        self.task.cancel()
        await asyncio.wait([self.task])

    def is_accounted(self) -> bool:
        status = self.pipeline.status()
        return (
            sum(status.received.values()) == sum(status.counters.values()) == self.journal.last_input()[0]
            and not any(status.unaccounted.values())
            and not status.in_flight
            and status.counters == self.journal.counters()
            and status.offset == self.journal.position().offset
        )


@contextlib.asynccontextmanager
async def run_pipeline(
    link: FakeLink,
    path: Path,
    *,
    journal: SqliteJournal | None = None,
    clock: FloorClock | None = None,
    make_floor: Callable[[Floor], Floor] = lambda floor: floor,
    checkpoint_seconds: float = 5.0,
    commit_max_inputs: int = 50,
    keep: RetentionLimits = KEEP_ALL,
    ack_doubt_seconds: float = 6.0,
) -> AsyncIterator[PipelineRun]:
    """Run a pipeline until the block ends, then stop it; the link delivers again what it did not acknowledge.

    A `journal` that is given is used in place of `path`, and left open.
    """
    with contextlib.ExitStack() as opened:
        if journal is None:
            journal = SqliteJournal.open(path, stream="main")
            opened.callback(journal.close)
        restored = restore_floor(PLANT, journal, decode=decode)
        pipeline = Pipeline(
            link,
            journal,
            make_floor(restored.floor),
            clock or FloorClock(not_before=journal.last_input()[1]),
            decode=decode,
            root=ROOT,
            commit_max_inputs=commit_max_inputs,
            commit_max_ms=1,
            checkpoint_seconds=checkpoint_seconds,
            keep=keep,
            ack_doubt_seconds=ack_doubt_seconds,
        )
        task = asyncio.create_task(pipeline.run(), name="pipeline")
        run = PipelineRun(journal=journal, restored=restored, pipeline=pipeline, task=task)
        pipeline.add_listener(run.entries.extend)
        try:
            yield run
        finally:
            pipeline.stop()
            await asyncio.wait([run.task], timeout=STOP_SECONDS)
            run.task.cancel()
            await asyncio.wait([run.task])
            link.reconnect()
    if not run.task.cancelled():
        await run.task


def deliver(link: FakeLink, topic: str, **fields: object) -> None:
    """Deliver a JSON object; `topic` is relative to the line: `{report|command}/{equipment}/{kind}`."""
    branch, equipment, kind = topic.split("/")
    link.deliver(f"{branch}/{PLACE}/{equipment}/{kind}", json.dumps(fields).encode())
