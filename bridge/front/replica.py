"""Journal replica of a front in its own process: follows another process's journal, woken by its publications.

A message is only a hint that there are events up to offset N. Delivered events are read from the journal, in order and
each once, so dropped or forged messages change nothing. Without hints a slow poll finds all events.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from bridge.domain.envelope import event_id
from bridge.domain.messages import Message
from bridge.domain.records import CommandRecord, CommittedEvent, Position
from bridge.domain.stream_liveness import LINK_POLL_SECONDS, SILENT_MS, StreamLiveness, read_hint
from bridge.domain.stream_status import read_status, status_topic
from bridge.domain.topic_tree import TopicBranch
from bridge.front.front import Front
from bridge.ports.broker import MessageSource
from bridge.ports.clock import monotonic_ms
from bridge.ports.journal import JournalError, ReplicatedJournal

READ_EVENTS: Final = 500  # of one read
RECEIVE_MESSAGES: Final = 500  # of one receive: bounds how long the event loop is blocked
POLL_SECONDS: Final = 1.0  # without hints: the delay of events whose hints the broker lost
COMMAND_POLL_SECONDS: Final = 0.05  # while commands are pending: a rejected one emits no event, and so no hint
HINT_BACKOFF_SECONDS: Final = 0.05  # after a hint without events in the journal: forged ones cost 20 reads a second
UNKNOWN_OFFSET: Final = 2**63  # of a hint of another epoch, whose offsets do not compare

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JournalPoll:
    """Result of one poll: the journal's position, the next events, and the results of pending commands."""

    position: Position
    events: Sequence[CommittedEvent]
    records: Sequence[CommandRecord]


class Replica:
    """Follows one journal for one front. `source` is subscribed to the stream's events and its status."""

    def __init__(
        self,
        source: MessageSource,
        front: Front,
        open_journal: Callable[[], ReplicatedJournal],
        *,
        root: str,
        stream: str,
    ) -> None:
        """Create a replica. `open_journal` may block; it is retried for as long as it raises JournalError."""
        self._source = source
        self._front = front
        self._open_journal = open_journal
        self._stream = stream
        self._events_prefix = TopicBranch.EVENT.prefix(root)
        self._status_topic = status_topic(root, stream)
        self._journal: ReplicatedJournal | None = None
        self._liveness = StreamLiveness()
        self._hinted_offset = 0  # there may be events up to here
        self._hint = asyncio.Event()
        self._poll_started: float | None = None  # loop time
        self._read_error: str | None = "the journal is not open yet"
        self.reads = 0
        self.hints = 0
        self.switches = 0

    async def run(self) -> None:
        """Follow the journal until cancelled; close its idle connections then."""
        try:
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="front-replica") as thread:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive_hints(), name="replica-hints")
                    tasks.create_task(self._poll_forever(thread), name="replica-polls")
                    tasks.create_task(self._update_link_state(), name="replica-link")
        finally:
            if self._journal is not None:
                self._journal.close_idle()

    # -- hints ------------------------------------------------------------------------------------------------------

    async def _receive_hints(self) -> None:
        while True:
            messages = await self._source.receive(most=RECEIVE_MESSAGES)
            self._source.acknowledge(messages)
            for message in messages:
                self._process_hint(message)
            if self._hinted_offset > self._front.position.offset and self._read_error is None:
                self._hint.set()

    def _process_hint(self, message: Message) -> None:
        if message.topic == self._status_topic:
            status = read_status(message.payload)
            if status is None:
                return
            self._liveness = self._liveness.with_status(
                status, retained=message.retained, now=monotonic_ms(), read_offset=self._front.position.offset
            )
            epoch, offset = status.epoch, status.offset or 0
        elif message.topic.startswith(self._events_prefix) and not message.retained:  # retained ones are not new
            hint = read_hint(message.payload, stream=self._stream)
            if hint is None:
                return
            epoch, offset = hint.epoch, hint.offset
        else:
            return
        self.hints += 1
        self._hinted_offset = max(
            self._hinted_offset, offset if epoch == self._front.position.epoch else UNKNOWN_OFFSET
        )

    # -- the journal ------------------------------------------------------------------------------------------------

    async def _poll_forever(self, thread: Executor) -> None:
        loop = asyncio.get_running_loop()
        poll_at = hints_from = loop.time()
        while True:
            await self._wait_until_due(poll_at, hints_from)
            hinted, self._hinted_offset = self._hinted_offset, 0
            self._hint.clear()
            more = await self._poll(thread)
            poll_at = loop.time() + (0.0 if more else POLL_SECONDS)
            if not more and hinted > self._front.position.offset:
                hints_from = loop.time() + HINT_BACKOFF_SECONDS

    async def _wait_until_due(self, poll_at: float, hints_from: float) -> None:
        """Wait for a reason to read the journal: a hint, a pending command, or the time to poll."""
        loop = asyncio.get_running_loop()
        while (now := loop.time()) < poll_at:
            if not self._hint.is_set():
                woken = await self._wait_for_hint(min(poll_at, now + COMMAND_POLL_SECONDS))
                if not woken and self._front.pending_commands:
                    return
            elif now < hints_from:
                await asyncio.sleep(min(poll_at, hints_from) - now)
            else:
                return

    async def _wait_for_hint(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                await self._hint.wait()
        except TimeoutError:
            return False
        return True

    async def _poll(self, thread: Executor) -> bool:
        """Read the next events and forward them; returns whether there are more. Read errors are logged and retried."""
        loop = asyncio.get_running_loop()
        self._poll_started = loop.time()
        try:
            after, waiting = self._front.position.offset, self._front.pending_commands
            # Without a live writer, a restore may be about to replace the journal's files.
            read = partial(self._read_journal, after, waiting, close_idle=self.not_live_reason() is not None)
            poll = await loop.run_in_executor(thread, read)
        except JournalError as error:
            if self._read_error != str(error):
                log.warning("replica.read_failed", reason=str(error))
            self._read_error = str(error)
            return False
        finally:
            self._poll_started = None
        if self._read_error is not None:
            log.info("replica.reading", offset=poll.position.offset)
        self._read_error = None
        return self._forward(poll)

    def _read_journal(self, after: int, waiting: Sequence[tuple[str, str]], *, close_idle: bool) -> JournalPoll:
        """Poll the journal, in the replica's own thread: reads for many dashboards do not delay it."""
        self.reads += 1
        if self._journal is None:
            self._journal = self._open_journal()
        position = self._journal.position()
        # Commands first: the events of a result found here are then among the events read after it.
        records = [record for record in (self._journal.command(*key) for key in waiting) if record is not None]
        events = self._journal.events_after(after, limit=READ_EVENTS)
        if close_idle:
            self._journal.close_idle()
        return JournalPoll(position, events, records)

    def _forward(self, poll: JournalPoll) -> bool:
        here, journal = self._front.position, self._journal
        assert journal is not None, "it was read"
        if not _is_continuous(poll, here):
            log.info(
                "replica.journal_switched",
                epoch=poll.position.epoch,
                offset=poll.position.offset,
                previous_epoch=here.epoch,
                previous_offset=here.offset,
            )
            self._front.switch_journal(journal, poll.position)
            self.switches += 1
            return True
        self._front.deliver(poll.events)
        if len(poll.events) == READ_EVENTS:
            return True  # results come after their events, so the next poll reads them again
        self._front.deliver_results(poll.records)
        return False

    # -- link state -------------------------------------------------------------------------------------------------

    async def _update_link_state(self) -> None:
        while True:
            reason = self.not_live_reason()
            self._front.set_link_state(
                broker_connected=self._source.status.connected,
                stream_live=reason is None,
                last_seen=self._liveness.status_time,
                reason=reason,
            )
            await asyncio.sleep(LINK_POLL_SECONDS)

    def not_live_reason(self) -> str | None:
        """Return why the dashboards' data is not live; None when it is."""
        since = self._poll_started
        if since is not None and (asyncio.get_running_loop().time() - since) * 1_000 >= SILENT_MS:
            return "the journal does not answer"
        if self._read_error is not None:
            return self._read_error
        here = self._front.position
        return self._liveness.not_live_reason(epoch=here.epoch, now=monotonic_ms(), read_offset=here.offset)


def _is_continuous(poll: JournalPoll, here: Position) -> bool:
    """Return whether the poll continues from the front's position: same epoch, nothing removed, no gap."""
    if (poll.position.stream, poll.position.epoch) != (here.stream, here.epoch):
        return False
    if not poll.events:
        return poll.position.offset == here.offset
    first, last = poll.events[0], poll.events[-1]
    return first.offset == here.offset + 1 and last.id == event_id(here.stream, here.epoch, last.offset)
