"""The pipeline of messages into the journal: receive, decode, apply, commit, acknowledge (design.md, promise P1).

A message that crashes the core stops the process, because the half-changed state must not be used. It is first recorded
in the journal, and quarantined when it arrives again, so that a supervised restart continues without it.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from bridge.domain.dedup import Deduplicator, digest_message
from bridge.domain.intake import CRASHED, TICK_TOPIC, Decoder, Intake
from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.state import SequenceGaps
from bridge.domain.line.floor import Floor
from bridge.domain.messages import IncomingMessage, Message
from bridge.domain.records import JournalEntry, input_kind
from bridge.pipeline.commit_queue import CommitQueue
from bridge.pipeline.committer import CommitListener, Committer, CrashRecord
from bridge.pipeline.counter_fit_monitor import CounterFitMonitor
from bridge.pipeline.deadline_scheduler import DeadlineScheduler
from bridge.pipeline.device_monitor import DeviceMonitor
from bridge.pipeline.internal_input_source import InternalInputSource
from bridge.pipeline.journal_lookups import REPLAYS, RETRY_SECONDS, JournalLookups, LookupsStopped
from bridge.pipeline.status import PipelineStatus, ReceivedCounts
from bridge.ports.broker import QueuedMessageSource
from bridge.ports.clock import AdjustableClock, monotonic_ms
from bridge.ports.journal import Journal, RetentionLimits

KEEP_ALL: Final = RetentionLimits()
APPLY_CHUNK = 100  # messages applied between two checks of the clock: bounds how long the loop is blocked
ACK_DOUBT_SECONDS = 15.0

log = structlog.get_logger(__name__)


class CoreCrashed(Exception):
    """The core raised on an input: a bug of ours. The process stops with this as its reason."""

    def __init__(self, number: int, topic: str) -> None:
        super().__init__(f"the core crashed on input {number}, {topic or 'a tick'}")
        self.number = number
        self.topic = topic


class Pipeline:
    """The only owner of the floor, which must be restored to the journal's end."""

    def __init__(
        self,
        source: QueuedMessageSource,
        journal: Journal,
        floor: Floor,
        clock: AdjustableClock,
        *,
        decode: Decoder,
        root: str,
        commit_max_inputs: int,
        commit_max_ms: int,
        checkpoint_seconds: float,
        keep: RetentionLimits = KEEP_ALL,
        ack_doubt_seconds: float = ACK_DOUBT_SECONDS,
        listeners: Iterable[CommitListener] = (),
    ) -> None:
        """Take over the restored `floor`.

        `ack_doubt_seconds`: at least two keepalives; a connection that lives this long has delivered its
        acknowledgements.
        """
        self._source = source
        self._clock = clock
        self._prefix = f"{root}/"
        self._intake = Intake(
            floor,
            decode=decode,
            position=journal.position(),
            last_input=journal.last_input(),
            dedup=Deduplicator(journal.dedup_window(), doubt_ms=int(ack_doubt_seconds * 1_000)),
            crash_digests=journal.crash_digests(),
        )
        self._stopping = asyncio.Event()
        self._queue = CommitQueue(most=commit_max_inputs)
        self._committer = Committer(
            source,
            journal,
            self._intake,
            clock,
            queue=self._queue,
            stopping=self._stopping,
            is_caught_up=self._is_caught_up,
            batch_wait_seconds=commit_max_ms / 1_000,
            checkpoint_seconds=checkpoint_seconds,
            keep=keep,
            listeners=listeners,
        )
        self._deadlines = DeadlineScheduler(self._intake, clock)
        self.device_monitor = DeviceMonitor(self._intake)
        self._internal_inputs = InternalInputSource(source, clock, self._intake)
        self._lookups = JournalLookups(journal, stopping=self._stopping, unavailable=self._committer.set_not_ready)
        self._received = ReceivedCounts(journal.counters(), last_number=self._intake.number)
        self._unapplied: deque[Message] = deque()  # received from the source, not applied yet
        self._receiving: asyncio.Task[list[Message]] | None = None
        self._check_seconds = checkpoint_seconds
        self._unaccounted: Mapping[str, int] = {}  # the last difference found in the accounting
        self._counter_monitor = CounterFitMonitor()
        self._crash: CoreCrashed | None = None

    def add_listener(self, listener: CommitListener) -> None:
        """Call `listener` on the loop with the entries of every batch, once it is durable; it must not block."""
        self._committer.listeners.append(listener)

    def status(self) -> PipelineStatus:
        """Return the status at one moment: its figures add up."""
        topics = [self._topic(message) for message in self._unapplied]
        topics += self._queue.topics()
        topics += [entry.input.topic for entry in self._committer.committing]
        status = replace(
            self._committer.status,
            unknown_fields=self._intake.unknown_fields,
            received=dict(self._received.by_kind),
            in_flight=Counter(map(input_kind, topics)),
        )
        return self._deadlines.adjust_status(status.as_of(monotonic_ms()))

    def gaps(self) -> Mapping[str, SequenceGaps]:
        """Return by line how many reports were ever missing; it visits every line, so call it seldom."""
        return self._intake.floor.gaps_by_line()

    def counter_fits(self) -> Mapping[tuple[str, str], CounterFit]:
        """Return by line and machine how counters fit the plant file; it visits every machine, so call it seldom."""
        return self._intake.floor.counter_fits()

    def stop(self) -> None:
        """Request a stop: applied inputs are committed and acknowledged, lines are checkpointed, `run` returns."""
        self._stopping.set()
        self._queue.wake_producer()

    async def run(self) -> None:
        """Run until `stop`; raise `CoreCrashed`, or `CommitFailed` if the last commit did not succeed."""
        committer = self._committer
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_intake(), name="pipeline-intake")
                tasks.create_task(committer.run(), name="pipeline-commit")
        finally:
            committer.status = committer.status.as_not_ready("stopped")
        failure = self._crash or committer.failure
        if failure is not None:
            raise failure

    # -- intake -----------------------------------------------------------------------------------------------------

    async def _run_intake(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.create_task(self._stopping.wait(), name="pipeline-stopping")
        check_at = loop.time()
        try:
            while await self._wait_may_continue():
                if loop.time() >= check_at:
                    self._check_accounting()
                    self._counter_monitor.log_changes(self.counter_fits())
                    self.device_monitor.log_changes()
                    more = await self._replay_quarantined()
                    check_at = loop.time() + (RETRY_SECONDS if more else self._check_seconds)
                for topic, enter in self._internal_inputs.due_inputs(caught_up=self._is_caught_up()):
                    self._apply_internal(topic, enter)
                await self._fire_deadlines()
                receiving = self._receiving
                if receiving is None:
                    most = max(1, min(APPLY_CHUNK, self._queue.capacity_left))
                    receiving = asyncio.create_task(self._source.receive(most=most), name="pipeline-receive")
                    self._receiving = receiving
                await asyncio.wait(
                    {receiving, stopping},
                    timeout=min(
                        check_at - loop.time(),
                        self._deadlines.seconds_to_next(),
                        self._internal_inputs.seconds_to_next(),
                    ),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if receiving.done() and await self._wait_may_continue():  # the queue may have been blocked meanwhile
                    self._accept_messages(receiving.result())
                    self._receiving = None
                    while self._unapplied:
                        await self._apply_message(self._unapplied[0])
        except LookupsStopped:
            log.warning("pipeline.messages_not_applied", messages=len(self._unapplied))
        except CoreCrashed as crash:
            log.critical("pipeline.core_crashed", number=crash.number, topic=crash.topic, exc_info=crash.__cause__)
            self._crash = crash
        finally:
            stopping.cancel()
            if self._receiving is not None:
                self._receiving.cancel()  # its messages are not acknowledged: the broker sends them again
            self._queue.close()

    def _accept_messages(self, messages: Sequence[Message]) -> None:
        self._received.add([self._topic(message) for message in messages])
        self._unapplied.extend(messages)

    def _is_caught_up(self) -> bool:
        """Return whether all that has arrived is applied."""
        has_received = self._receiving is not None and self._receiving.done()
        return not (has_received or self._unapplied or self._source.queued)

    def _topic(self, message: Message) -> str:
        return message.topic.removeprefix(self._prefix)

    async def _wait_may_continue(self) -> bool:
        if not self._stopping.is_set():
            await self._queue.wait_for_room()
        return not self._stopping.is_set()

    def _check_accounting(self) -> None:
        unaccounted = {kind: count for kind, count in self.status().unaccounted.items() if count}
        if unaccounted != self._unaccounted:
            log.error("pipeline.accounting_mismatch", unaccounted=unaccounted)
        self._unaccounted = unaccounted

    async def _fire_deadlines(self) -> None:
        for until in self._deadlines.time_slices():
            self._apply_internal(TICK_TOPIC, partial(self._intake.tick, until))
            await self._deadlines.yield_to_loop()
            if not await self._wait_may_continue():
                return

    def _apply_internal(self, topic: str, enter: Callable[[], JournalEntry | None]) -> None:
        """Apply an input that no message brings."""
        with self._reporting_crashes(topic):
            entry = enter()
        if entry is not None:
            self._received.add([topic])
            self._queue.add(entry)

    async def _apply_message(self, message: Message) -> None:
        entry = await self._apply(IncomingMessage.of(message, topic=self._topic(message)))
        self._unapplied.popleft()
        self._queue.add(entry, message)

    async def _replay_quarantined(self) -> bool:
        """Replay quarantined inputs on request, perhaps of another process; return whether there may be more.

        A replay is a new input, received now. Its commit settles the request, so it happens exactly once.
        """
        requested = await self._lookups.requested_replays()
        replaying = self._committer.replaying
        for quarantined in requested:
            if quarantined.number in replaying:
                continue
            if not await self._wait_may_continue():
                return False
            replaying.add(quarantined.number)
            message = IncomingMessage(
                quarantined.topic, quarantined.payload, retained=quarantined.retained, replayed=quarantined.number
            )
            entry = await self._apply(message)
            log.info("pipeline.replayed", quarantined=quarantined.number, number=entry.input.number)
            self._received.add([quarantined.topic])
            self._queue.add(entry, replayed=quarantined.number)
        return len(requested) == REPLAYS

    async def _apply(self, message: IncomingMessage) -> JournalEntry:
        with self._reporting_crashes(message.topic, message):
            decoded = self._intake.receive(message, now=self._clock.now())
            record = self._intake.pending_result(decoded)
        if record is None and decoded.command is not None:
            record = await self._lookups.find_command(*decoded.command)
        with self._reporting_crashes(message.topic, message):
            entry = self._intake.apply(decoded, earlier_result=record)
        if entry.disposition == CRASHED:
            log.error("pipeline.crashing_input_quarantined", topic=message.topic, number=entry.input.number)
        return entry

    @contextlib.contextmanager
    def _reporting_crashes(self, topic: str, message: IncomingMessage | None = None) -> Iterator[None]:
        """Turn an error of the core into `CoreCrashed`, and have the crashing message recorded."""
        try:
            yield
        except Exception as error:
            crash = (
                CrashRecord()
                if message is None
                else CrashRecord(digest_message(topic, message.payload), message.replayed)
            )
            self._committer.record_crash(crash)
            raise CoreCrashed(self._intake.number + 1, topic) from error
