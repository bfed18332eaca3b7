"""Commits what is applied, batch by batch, and only then acknowledges it (DESIGN, promise P1).

While one batch commits in the writer's thread the next is gathered. A commit that fails is tried again, the same
batch, until it succeeds: meanwhile nothing is acknowledged and nothing more is taken in, so the broker queues.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from bridge.core.events import Millis
from bridge.core.intake import Intake
from bridge.core.messages import Message
from bridge.core.records import Applied, Batch, CommitFailed, Journal
from bridge.pending import Pending, set_before
from bridge.pipeline_status import PipelineStatus
from bridge.surroundings import Clock, Source

FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 5.0

log = structlog.get_logger(__name__)

Listener = Callable[[Sequence[Applied]], None]


class Committer:
    """The only one who commits. `status` is how the pipeline is; `failure` why the last commit was not to be had."""

    def __init__(
        self,
        source: Source,
        journal: Journal,
        intake: Intake,
        clock: Clock,
        *,
        pending: Pending,
        stopping: asyncio.Event,
        company_seconds: float,
        checkpoint_seconds: float,
        listeners: Iterable[Listener],
    ) -> None:
        self.failure: CommitFailed | None = None
        self.listeners = list(listeners)
        self._source = source
        self._journal = journal
        self._intake = intake
        self._clock = clock
        self._pending = pending
        self._stopping = stopping
        self._company_seconds = company_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self.status = PipelineStatus(offset=intake.offset, counters=dict(journal.counters()))
        self.committing: Sequence[Applied] = ()
        self._settled = intake.resends.settled
        self._crashed = False
        self._suspect: bytes | None = None

    def crashed(self, suspect: bytes | None) -> None:
        """Keep no checkpoint any more, for a line is half changed; and mark the message it crashed at."""
        self._crashed, self._suspect = True, suspect

    async def run(self) -> None:
        """Commit until nothing comes any more, and the last of it is durable; or until a stop ends the trying."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._checkpoint_seconds
        ended = False
        self.status = self.status.but_ready()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-writer") as writer:
            while not ended:
                await self._pending.batch(company_seconds=self._company_seconds, until=due)
                ended = self._pending.ended
                checkpoint = ended or loop.time() >= due
                if checkpoint:
                    due = loop.time() + self._checkpoint_seconds
                batch, messages = self._gather(checkpoint=checkpoint)
                if batch is not None and not await self._commit(batch, messages, writer):
                    return

    def _gather(self, *, checkpoint: bool) -> tuple[Batch | None, list[Message]]:
        """Take all that is applied; no await in here, so checkpoints are of exactly that state."""
        waiting = self._pending.take()
        entries = [each.entry for each in waiting]
        messages = [each.message for each in waiting if each.message is not None]
        checkpoints: dict[str, bytes] = {}
        settled = None
        if checkpoint:
            settled = self._settle()
            if not self._crashed:
                checkpoints = {line: self._intake.floor.checkpoint(line) for line in self._intake.floor.changed()}
        suspect, self._suspect = self._suspect, None
        if not entries and not checkpoints and settled is None and suspect is None:
            return None, messages
        return Batch(entries=entries, checkpoints=checkpoints, settled=settled, suspect=suspect), messages

    def _settle(self) -> int | None:
        status = self._source.status
        generation = status.generation if status.connected else None
        settled = self._intake.resends.settle(real_ms(), generation=generation)
        if settled == self._settled:
            return None
        self._settled = settled
        return settled

    async def _commit(self, batch: Batch, messages: list[Message], writer: ThreadPoolExecutor) -> bool:
        """Commit, however long it takes; False where a stop ended the trying, with nothing acknowledged."""
        delay = FIRST_RETRY_SECONDS
        self.committing = batch.entries
        self.status = replace(self.status, committing_since=real_ms())
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(writer, self._journal.commit, batch)
                break
            except CommitFailed as failure:
                log.warning(
                    "pipeline.commit_failed", reason=failure.reason, inputs=len(batch.entries), retry_seconds=delay
                )
                self.status = self.status.but_not_ready(str(failure))
                if self._stopping.is_set() or self._pending.ended:
                    self.failure = failure
                    self._pending.open()
                    return False
                self._pending.hold()
            await set_before(self._stopping, asyncio.get_running_loop().time() + delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)
        self._note(batch.entries, messages)
        return True

    def _note(self, entries: Sequence[Applied], messages: list[Message]) -> None:
        """Tell everybody who waits for it that a batch is durable; the broker first."""
        self._source.acknowledge(messages)
        self.committing = ()
        self._pending.release()
        self.status = self.status.but_ready()
        if not entries:
            return
        self._intake.resends.acknowledged(entries[-1].input.number, real_ms())
        self._intake.committed(entries)
        self.status = self.status.after(entries, at=self._clock.now())
        for listener in self.listeners:
            listener(entries)


def real_ms() -> Millis:
    """Return real time for the doubt about acknowledgements, whatever the floor's clock does."""
    return int(asyncio.get_running_loop().time() * 1_000)
