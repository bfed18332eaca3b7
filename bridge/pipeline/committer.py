"""The committer: commits applied inputs in batches and only then acknowledges them (design.md, promise P1).

While one batch commits in the journal thread the next is gathered. A failed commit is retried with the same batch until
it succeeds. Meanwhile nothing is acknowledged and nothing more is received, so the broker queues.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import structlog

from bridge.domain.intake import Intake
from bridge.domain.messages import Message
from bridge.domain.records import JournalEntry
from bridge.domain.utc_time import Millis
from bridge.pipeline.commit_queue import CommitQueue, PendingInput, wait_until_set
from bridge.pipeline.journal_thread import JournalThread
from bridge.pipeline.status import PipelineStatus
from bridge.ports.broker import QueuedMessageSource
from bridge.ports.clock import Clock, monotonic_ms
from bridge.ports.journal import Batch, CommitFailed, Journal, RetentionLimits

FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 5.0
PRUNE_SECONDS = 0.2  # between two chunks of pruning, so that a commit seldom waits for one
OBSERVED_SECONDS = 5.0  # between two records of `observed_until`: half of what a restart takes for an absence
STOP_COMMIT_SECONDS = 2.5  # for the commits under way at a stop, of the 10 that a stop has in all
DISK_TIMEOUT = "the disk does not answer"

log = structlog.get_logger(__name__)

T = TypeVar("T")
CommitListener = Callable[[Sequence[JournalEntry]], None]


class CrashRecord(NamedTuple):
    """The journal's record of an input on which the core crashed."""

    crash_digest: bytes | None = None  # the message's digest; None: a tick
    replayed: int | None = None  # number of the quarantined input, if it was a requested replay


class Committer:
    """Commits the pipeline's batches. `status`: the pipeline's; `failure`: why the last commit did not succeed."""

    def __init__(
        self,
        source: QueuedMessageSource,
        journal: Journal,
        intake: Intake,
        clock: Clock,
        *,
        queue: CommitQueue,
        stopping: asyncio.Event,
        is_caught_up: Callable[[], bool],
        batch_wait_seconds: float,
        checkpoint_seconds: float,
        keep: RetentionLimits,
        listeners: Iterable[CommitListener],
    ) -> None:
        self.failure: CommitFailed | None = None
        self.listeners = list(listeners)
        self._source = source
        self._journal = journal
        self._intake = intake
        self._clock = clock
        self._queue = queue
        self._stopping = stopping
        self._is_caught_up = is_caught_up
        self._batch_wait_seconds = batch_wait_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._keep = keep
        self._began = clock.now()
        self._last_arrival = journal.last_input()[1] or self._began
        self.replaying: set[int] = set()  # quarantined inputs whose replay is not durable yet
        self.status = PipelineStatus(offset=intake.offset, counters=dict(journal.counters()))
        self.committing: Sequence[JournalEntry] = ()
        self._acked_up_to = intake.dedup.acked_up_to
        self._crash: CrashRecord | None = None
        self._crash_recorded = False
        self._stop_at: float | None = None  # time of the loop's clock at which a stop gives up on the disk

    def record_crash(self, crash: CrashRecord) -> None:
        """Record the crashing message, and write no more checkpoints: a line is half changed."""
        self._crash = crash

    def set_not_ready(self, reason: str) -> None:
        """Report the pipeline as not ready until the next commit."""
        self.status = self.status.as_not_ready(reason)

    async def run(self) -> None:
        """Commit until the queue is closed and all of it is durable, or until a stop ends the retries."""
        loop = asyncio.get_running_loop()
        checkpoint_at = loop.time() + self._checkpoint_seconds
        prune_at = loop.time()
        observed_at = loop.time() + OBSERVED_SECONDS
        ended = False
        self.status = self.status.as_ready()
        writer = JournalThread()
        try:
            while not ended:
                await self._queue.wait_for_batch(
                    batch_wait_seconds=self._batch_wait_seconds, until=min(checkpoint_at, prune_at, observed_at)
                )
                ended = self._queue.is_closed
                checkpoint = ended or loop.time() >= checkpoint_at
                if checkpoint:
                    checkpoint_at = loop.time() + self._checkpoint_seconds
                batch, waiting = self._build_batch(
                    checkpoint=checkpoint, record_observed=ended or loop.time() >= observed_at
                )
                if batch is not None:
                    observed_at = loop.time() + OBSERVED_SECONDS
                    if not await self._commit(batch, waiting, writer):
                        return
                if not ended and loop.time() >= prune_at:
                    more = await self._prune(writer)
                    prune_at = loop.time() + (PRUNE_SECONDS if more else self._checkpoint_seconds)
        finally:
            writer.close()

    def _build_batch(self, *, checkpoint: bool, record_observed: bool) -> tuple[Batch | None, list[PendingInput]]:
        """Build a batch of all that is applied. No await in here, so checkpoints are of exactly that state.

        `record_observed`: record `observed_until` even if there is nothing else to commit.
        """
        waiting = self._queue.take_all()
        entries = [pending.entry for pending in waiting]
        replayed = [pending.replayed for pending in waiting if pending.replayed is not None]
        checkpoints: dict[str, bytes] = {}
        acked_up_to = None
        if checkpoint:
            acked_up_to = self._advance_acked()
            if self._crash is None:
                checkpoints = {line: self._intake.floor.checkpoint(line) for line in self._intake.floor.changed_lines()}
        crash_digest = None
        if self._crash is not None and not self._crash_recorded:
            self._crash_recorded = True
            crash_digest = self._crash.crash_digest
            replayed += [] if self._crash.replayed is None else [self._crash.replayed]
        if not (entries or checkpoints or record_observed or replayed) and acked_up_to is None and crash_digest is None:
            return None, waiting
        batch = Batch(
            entries=entries,
            checkpoints=checkpoints,
            acked_up_to=acked_up_to,
            crash_digest=crash_digest,
            quarantined_numbers=replayed,
            observed_until=self._clock.now(),
        )
        return batch, waiting

    def _advance_acked(self) -> int | None:
        status = self._source.status
        generation = status.generation if status.connected else None
        acked_up_to = self._intake.dedup.advance_acked(
            monotonic_ms(), generation=generation, caught_up=self._is_caught_up()
        )
        if acked_up_to == self._acked_up_to:
            return None
        self._acked_up_to = acked_up_to
        return acked_up_to

    async def _commit(self, batch: Batch, waiting: list[PendingInput], writer: JournalThread) -> bool:
        """Commit, however long it takes; return False if a stop ended the retries, with nothing acknowledged."""
        delay = FIRST_RETRY_SECONDS
        self.committing = batch.entries
        self.status = replace(self.status, committing_since=monotonic_ms())
        while True:
            try:
                await self._wait_for_writer(writer.call(self._journal.commit, batch))
                break
            except CommitFailed as failure:
                log.warning(
                    "pipeline.commit_failed", reason=failure.reason, inputs=len(batch.entries), retry_seconds=delay
                )
                self.status = self.status.as_not_ready(str(failure))
                if self._stopping.is_set() or self._queue.is_closed:  # a stop waits for no disk that may never heal
                    self.failure = failure
                    self._queue.wake_producer()
                    return False
                self._queue.block()
            await wait_until_set(self._stopping, asyncio.get_running_loop().time() + delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)
        if delay > FIRST_RETRY_SECONDS:
            log.info("pipeline.commit_recovered", inputs=len(batch.entries))
        self.replaying.difference_update(batch.quarantined_numbers)
        self._finish_commit(batch.entries, waiting)
        return True

    async def _wait_for_writer(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for the journal thread, but at most `STOP_COMMIT_SECONDS` of a stop; then raise `CommitFailed`."""
        writing = asyncio.create_task(call, name="pipeline-writing")
        stopping = asyncio.create_task(self._stopping.wait(), name="pipeline-stopping")
        try:
            await asyncio.wait({writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                await asyncio.wait({writing}, timeout=self._stop_seconds_left())
            if not writing.done():
                raise CommitFailed(DISK_TIMEOUT)
            return writing.result()
        finally:
            stopping.cancel()
            writing.cancel()

    def _stop_seconds_left(self) -> float:
        """Return the seconds that the stop still allows, over all commits together."""
        now = asyncio.get_running_loop().time()
        self._stop_at = now + STOP_COMMIT_SECONDS if self._stop_at is None else self._stop_at
        return max(0.0, self._stop_at - now)

    async def _prune(self, writer: JournalThread) -> bool:
        """Prune a chunk of old events and inputs; return whether there may be more."""
        self.status = replace(self.status, committing_since=monotonic_ms())
        try:
            pruned = await self._wait_for_writer(writer.call(self._journal.prune, self._retention_now(), self._keep))
        except CommitFailed as failure:
            log.warning("pipeline.prune_failed", reason=failure.reason)
            pruned = 0
        self.status = replace(self.status, committing_since=None)
        return pruned > 0

    def _retention_now(self) -> Millis:
        """Return the time that retention uses: the last arrival before the start, plus the time since.

        By the clock alone, one that is years ahead at the start would expire all history at once.
        """
        return self._last_arrival + self._clock.now() - self._began

    def _finish_commit(self, entries: Sequence[JournalEntry], waiting: list[PendingInput]) -> None:
        """Acknowledge a durable batch to the broker, then update dedup and status and call the listeners."""
        self._source.acknowledge([pending.message for pending in waiting if pending.message is not None])
        unacknowledged = [
            pending.entry.input.number
            for pending in waiting
            if pending.message is not None and self._is_ack_lost(pending.message)
        ]
        self.committing = ()
        self._queue.unblock()
        if not entries:
            self.status = self.status.as_ready()
            return
        self._intake.dedup.record_acks(entries[-1].input.number, monotonic_ms(), except_for=unacknowledged)
        self._intake.forget_committed(entries)
        self.status = self.status.with_committed(entries, at=self._clock.now())
        for listener in self.listeners:
            listener(entries)

    def _is_ack_lost(self, message: Message) -> bool:
        """Return whether no acknowledgement could be sent because the message's connection had ended."""
        link = self._source.status
        return message.qos > 0 and not (link.connected and message.pending_ack.generation == link.generation)
