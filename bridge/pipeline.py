"""Receive, decode, apply, commit, acknowledge: the way of a message into the journal (DESIGN, promise P1).

While one batch commits in the writer's thread the next is gathered. A commit that fails is tried again, the same
batch, until it succeeds: meanwhile nothing is acknowledged and nothing more is taken in, so the broker queues.
A message at which the core crashes stops the process (the half-changed state must not be used); it is marked in the
journal before, and is quarantined when it comes again, so that a supervised restart goes on without it.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from bridge.core.events import Millis
from bridge.core.intake import CRASHED, Decode, Intake
from bridge.core.line.floor import Floor
from bridge.core.messages import Message
from bridge.core.records import Applied, Batch, CommitFailed, Journal
from bridge.core.resends import Resends, digest
from bridge.pipeline_status import PipelineStatus
from bridge.surroundings import Clock, Source

CHUNK = 100  # messages applied between two looks at the clock: bounds how long the loop is held
FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 5.0
ACK_DOUBT_SECONDS = 15.0

log = structlog.get_logger(__name__)


class CoreCrashed(Exception):
    """The core raised on an input: our fault. The process stops with this as its reason."""

    def __init__(self, number: int, topic: str) -> None:
        super().__init__(f"the core crashed on input {number}, {topic or 'a tick'}")
        self.number = number
        self.topic = topic


Listener = Callable[[Sequence[Applied]], None]


class Pipeline:
    """The one owner of the floor, and the only one who commits. Built on a floor restored to the journal's end."""

    def __init__(
        self,
        source: Source,
        journal: Journal,
        floor: Floor,
        clock: Clock,
        *,
        decode: Decode,
        root: str,
        commit_max_inputs: int,
        commit_max_ms: int,
        checkpoint_seconds: float,
        ack_doubt_seconds: float = ACK_DOUBT_SECONDS,
        listeners: Iterable[Listener] = (),
    ) -> None:
        """`ack_doubt_seconds`: at least two keepalives; after so long a connection has delivered what it was given."""
        self._source = source
        self._journal = journal
        self._clock = clock
        self._prefix = f"{root}/"
        self._most = commit_max_inputs
        self._company_seconds = commit_max_ms / 1_000
        self._checkpoint_seconds = checkpoint_seconds
        self._listeners = list(listeners)
        self._intake = Intake(
            floor,
            decode=decode,
            position=journal.position(),
            last_input=journal.last_input(),
            resends=Resends(journal.known_resends(), doubt_ms=int(ack_doubt_seconds * 1_000)),
            suspects=journal.suspects(),
        )
        counters = dict(journal.counters())
        self._status = PipelineStatus(offset=self._intake.offset, received=sum(counters.values()), counters=counters)
        self._settled = self._intake.resends.settled
        self._pending: list[tuple[Applied, Message | None]] = []
        self._suspect: bytes | None = None
        self._failure: CoreCrashed | CommitFailed | None = None
        self._intake_ended = False
        self._stopping = asyncio.Event()
        self._work = asyncio.Event()  # something is pending, or the intake has ended
        self._full = asyncio.Event()  # a batch need not wait for company
        self._room = asyncio.Event()  # the intake may go on
        self._room.set()

    def listen(self, listener: Listener) -> None:
        """Call `listener` on the loop with the entries of every batch, once it is durable; it must not block."""
        self._listeners.append(listener)

    def status(self) -> PipelineStatus:
        return replace(self._status, unknown_fields=self._intake.unknown_fields).seen(_real_ms())

    def stop(self) -> None:
        """Ask for the end: what is applied is committed and acknowledged, lines are checkpointed, `run` returns."""
        self._stopping.set()
        self._room.set()

    async def run(self) -> None:
        """Run until `stop`; raises `CoreCrashed`, or `CommitFailed` where the last commit was not to be had."""
        self._status = self._status.but_ready()
        try:
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-writer") as writer:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._take_in(), name="pipeline-intake")
                    tasks.create_task(self._commit_all(writer), name="pipeline-commit")
        finally:
            self._status = self._status.but_not_ready("stopped")
        if self._failure is not None:
            raise self._failure

    # -- intake -----------------------------------------------------------------------------------------------------

    async def _take_in(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait(), name="pipeline-stopping")
        receiving: asyncio.Task[list[Message]] | None = None
        try:
            while await self._may_go_on():
                self._tick()
                if receiving is None:
                    most = max(1, min(CHUNK, self._most - len(self._pending)))
                    receiving = asyncio.create_task(self._source.receive(most=most), name="pipeline-receive")
                await asyncio.wait(
                    {receiving, stopping}, timeout=self._seconds_to_deadline(), return_when=asyncio.FIRST_COMPLETED
                )
                if receiving.done() and await self._may_go_on():  # the room may have gone while we waited
                    messages = receiving.result()
                    receiving = None
                    for message in messages:
                        await self._take(message)
        except CoreCrashed as crash:
            log.critical("pipeline.core_crashed", number=crash.number, topic=crash.topic, exc_info=crash.__cause__)
            self._failure = crash
        finally:
            stopping.cancel()
            if receiving is not None:
                receiving.cancel()  # what it holds is not acknowledged: the broker sends it again
            self._intake_ended = True
            self._work.set()
            self._full.set()

    async def _may_go_on(self) -> bool:
        if not self._stopping.is_set():
            await self._room.wait()
        return not self._stopping.is_set()

    def _seconds_to_deadline(self) -> float | None:
        deadline = self._intake.floor.next_deadline()
        return None if deadline is None else self._clock.seconds_until(deadline)

    def _tick(self) -> None:
        deadline = self._intake.floor.next_deadline()
        now = self._clock.now()
        if deadline is None or deadline > now:
            return
        try:
            entry = self._intake.tick(now)
        except Exception as error:
            raise CoreCrashed(self._intake.number + 1, "") from error
        if entry is not None:
            self._append(entry, None)

    async def _take(self, message: Message) -> None:
        topic = message.topic.removeprefix(self._prefix)
        try:
            decoded = self._intake.read(
                topic,
                message.payload,
                now=self._clock.now(),
                retained=message.retained,
                redelivered=message.redelivered,
                generation=message.receipt.generation,
            )
            known = self._intake.recall(decoded)
        except Exception as error:
            raise self._crashed_on(topic, message) from error
        if known is None and decoded.command is not None:
            known = await asyncio.to_thread(self._journal.command, *decoded.command)
        try:
            entry = self._intake.apply(decoded, known=known)
        except Exception as error:
            raise self._crashed_on(topic, message) from error
        if entry.disposition == CRASHED:
            log.error("pipeline.crashed_before", topic=topic, number=entry.input.number)
        self._append(entry, message)

    def _crashed_on(self, topic: str, message: Message) -> CoreCrashed:
        self._suspect = digest(topic, message.payload)
        return CoreCrashed(self._intake.number + 1, topic)

    def _append(self, entry: Applied, message: Message | None) -> None:
        self._pending.append((entry, message))
        self._work.set()
        if len(self._pending) >= self._most:
            self._full.set()
            self._room.clear()

    # -- commit -----------------------------------------------------------------------------------------------------

    async def _commit_all(self, writer: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._checkpoint_seconds
        ended = False
        while not ended:
            if await _set_before(self._work, due):
                await _set_before(self._full, loop.time() + self._company_seconds)
            ended = self._intake_ended
            checkpoint = ended or loop.time() >= due
            if checkpoint:
                due = loop.time() + self._checkpoint_seconds
            batch, messages = self._gather(checkpoint=checkpoint)
            if batch is not None and not await self._commit(batch, messages, writer):
                return

    def _gather(self, *, checkpoint: bool) -> tuple[Batch | None, list[Message]]:
        """Take all that is applied; no await in here, so checkpoints are of exactly that state."""
        entries = [entry for entry, _ in self._pending]
        messages = [message for _, message in self._pending if message is not None]
        self._pending.clear()
        self._room.set()
        if not self._intake_ended:
            self._work.clear()
            self._full.clear()
        checkpoints: dict[str, bytes] = {}
        settled = None
        if checkpoint:
            settled = self._settle()
            if self._failure is None:  # a line that crashed is half changed
                checkpoints = {line: self._intake.floor.checkpoint(line) for line in self._intake.floor.changed()}
        suspect, self._suspect = self._suspect, None
        if not entries and not checkpoints and settled is None and suspect is None:
            return None, messages
        return Batch(entries=entries, checkpoints=checkpoints, settled=settled, suspect=suspect), messages

    def _settle(self) -> int | None:
        status = self._source.status
        generation = status.generation if status.connected else None
        settled = self._intake.resends.settle(_real_ms(), generation=generation)
        if settled == self._settled:
            return None
        self._settled = settled
        return settled

    async def _commit(self, batch: Batch, messages: list[Message], writer: ThreadPoolExecutor) -> bool:
        """Commit, however long it takes; False where a stop ended the trying, with nothing acknowledged."""
        delay = FIRST_RETRY_SECONDS
        self._status = replace(self._status, committing_since=_real_ms())
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(writer, self._journal.commit, batch)
                break
            except CommitFailed as failure:
                log.warning(
                    "pipeline.commit_failed", reason=failure.reason, inputs=len(batch.entries), retry_seconds=delay
                )
                self._status = self._status.but_not_ready(str(failure))
                if self._stopping.is_set() or self._intake_ended:
                    self._failure = self._failure or failure
                    self._room.set()
                    return False
                self._room.clear()
            await _set_before(self._stopping, asyncio.get_running_loop().time() + delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)
        self._note(batch.entries, messages)
        return True

    def _note(self, entries: Sequence[Applied], messages: list[Message]) -> None:
        """Tell everybody who waits for it that a batch is durable; the broker first."""
        self._source.acknowledge(messages)
        if len(self._pending) < self._most:
            self._room.set()
        self._status = self._status.but_ready()
        if not entries:
            return
        self._intake.resends.acknowledged(entries[-1].input.number, _real_ms())
        self._intake.committed(entries)
        self._status = self._status.after(entries, at=self._clock.now())
        for listener in self._listeners:
            listener(entries)


def _real_ms() -> Millis:
    """Return real time for the doubt about acknowledgements, whatever the floor's clock does."""
    return int(asyncio.get_running_loop().time() * 1_000)


async def _set_before(event: asyncio.Event, until: float) -> bool:
    """Wait for the event; False where it was not set by then, on the loop's clock."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return False
    return True
