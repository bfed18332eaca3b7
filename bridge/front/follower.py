"""Feeds a front that runs alone: follows another process's journal, woken by what that process publishes.

A message is a hint only, «there is something up to offset N»; what is delivered is read from the journal, in order and
each event once. So what the broker drops or somebody forges changes nothing. Without hints a slow poll finds it all.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import structlog

from bridge.core.events import Millis
from bridge.core.hints import SILENT_MS, StreamLiveness, read_hint
from bridge.core.messages import Message
from bridge.core.records import CommandRecord, CommittedEvent, JournalError, Position
from bridge.core.stream_status import read_status, status_topic
from bridge.front.front import Front
from bridge.front.journal import ReadableJournal
from bridge.surroundings import Source

READ_EVENTS: Final = 500  # of one read
HEAR_MESSAGES: Final = 500  # of one look at the link: bounds how long the loop is held
POLL_SECONDS: Final = 1.0  # without any hint: what the broker lost is late by so much
COMMAND_POLL_SECONDS: Final = 0.05  # while commands wait: a rejected one makes no event, and so no hint
FRUITLESS_SECONDS: Final = 0.05  # after a hint that the journal did not bear out: forged ones cost 20 reads a second
LINK_LOOK_SECONDS: Final = 0.25  # how late it is told that the pipeline fell silent: within 5 s with `SILENT_MS`
ANYTHING: Final = 2**63  # a hint at what no offset tells: another epoch

log = structlog.get_logger(__name__)


class FollowedJournal(ReadableJournal, Protocol):
    """A journal of another process."""

    def rest(self) -> None:
        """Hold nothing open until it is read again."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the journal found: where it stands, what comes next, and results of waiting commands."""

    position: Position
    events: Sequence[CommittedEvent]
    records: Sequence[CommandRecord]


class Follower:
    """Follows one journal for one front. `source` is subscribed to the stream's events and its status."""

    def __init__(
        self, source: Source, front: Front, open_journal: Callable[[], FollowedJournal], *, root: str, stream: str
    ) -> None:
        """`open_journal` is asked until it gives one; it blocks, and raises JournalError."""
        self._source = source
        self._front = front
        self._open = open_journal
        self._stream = stream
        self._events_prefix = f"{root}/event/"
        self._status_topic = status_topic(root, stream)
        self._journal: FollowedJournal | None = None
        self._heard = StreamLiveness()
        self._hinted = 0  # there may be something up to here
        self._hint = asyncio.Event()
        self._reading_since: float | None = None  # loop time
        self._trouble: str | None = "the journal is not open yet"
        self.reads = 0
        self.hints = 0
        self.turns = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="front-follower") as thread:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(), name="follower-hears")
                tasks.create_task(self._follow(thread), name="follower-reads")
                tasks.create_task(self._tell_link(), name="follower-link")

    # -- hints ------------------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        while True:
            messages = await self._source.receive(most=HEAR_MESSAGES)
            self._source.acknowledge(messages)
            for message in messages:
                self._take(message)
            if self._hinted > self._front.position.offset and self._trouble is None:
                self._hint.set()

    def _take(self, message: Message) -> None:
        if message.topic == self._status_topic:
            status = read_status(message.payload)
            if status is None:
                return
            self._heard = self._heard.with_status(
                status, retained=message.retained, now=self._now(), read_offset=self._front.position.offset
            )
            epoch, offset = status.epoch, status.offset or 0
        elif message.topic.startswith(self._events_prefix) and not message.retained:  # retained ones are no news
            hint = read_hint(message.payload, stream=self._stream)
            if hint is None:
                return
            epoch, offset = hint.epoch, hint.offset
        else:
            return
        self.hints += 1
        self._hinted = max(self._hinted, offset if epoch == self._front.position.epoch else ANYTHING)

    # -- the journal ------------------------------------------------------------------------------------------------

    async def _follow(self, thread: Executor) -> None:
        loop = asyncio.get_running_loop()
        poll_at = hints_from = loop.time()
        while True:
            await self._wait(poll_at, hints_from)
            hinted, self._hinted = self._hinted, 0
            self._hint.clear()
            more = await self._look(thread)
            poll_at = loop.time() + (0.0 if more else POLL_SECONDS)
            if not more and hinted > self._front.position.offset:
                hints_from = loop.time() + FRUITLESS_SECONDS

    async def _wait(self, poll_at: float, hints_from: float) -> None:
        """Wait for a reason to look: a hint, a command that waits for its result, or the time to poll."""
        loop = asyncio.get_running_loop()
        while (now := loop.time()) < poll_at:
            if not self._hint.is_set():
                woken = await self._hinted_before(min(poll_at, now + COMMAND_POLL_SECONDS))
                if not woken and self._front.commands_waiting:
                    return
            elif now < hints_from:
                await asyncio.sleep(min(poll_at, hints_from) - now)
            else:
                return

    async def _hinted_before(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                await self._hint.wait()
        except TimeoutError:
            return False
        return True

    async def _look(self, thread: Executor) -> bool:
        """Read what is next, and hand it on; True where more is there. A journal that can't be read is waited for."""
        loop = asyncio.get_running_loop()
        self._reading_since = loop.time()
        try:
            after, waiting = self._front.position.offset, self._front.commands_waiting
            # With nobody there who writes, a backup may be about to be put in the journal's place.
            read = partial(self._read, after, waiting, resting=self.silence() is not None)
            found = await loop.run_in_executor(thread, read)
        except JournalError as error:
            if self._trouble != str(error):
                log.warning("follower.cannot_read", reason=str(error))
            self._trouble = str(error)
            return False
        finally:
            self._reading_since = None
        if self._trouble is not None:
            log.info("follower.reads", offset=found.position.offset)
        self._trouble = None
        return self._hand_on(found)

    def _read(self, after: int, waiting: Sequence[tuple[str, str]], *, resting: bool) -> Reading:
        """In the follower's own thread, so that no crowd of dashboards that read is in its way."""
        self.reads += 1
        if self._journal is None:
            self._journal = self._open()
        position = self._journal.position()
        # Commands first: the events of a result that is there now are then among what is read after it.
        records = [each for each in (self._journal.command(*key) for key in waiting) if each is not None]
        events = self._journal.events_after(after, limit=READ_EVENTS)
        if resting:
            self._journal.rest()
        return Reading(position, events, records)

    def _hand_on(self, found: Reading) -> bool:
        here, journal = self._front.position, self._journal
        assert journal is not None, "it was read"
        if not _follows(found, here):
            log.info("follower.turns", former=here, position=found.position)
            self._front.turn_to(journal, found.position)
            self.turns += 1
            return True
        self._front.deliver(found.events)
        if len(found.events) == READ_EVENTS:
            return True  # results come after their events, so they are asked for again
        self._front.settle(found.records)
        return False

    # -- freshness --------------------------------------------------------------------------------------------------

    async def _tell_link(self) -> None:
        while True:
            silence = self.silence()
            self._front.set_link(
                broker_connected=self._source.status.connected,
                stream_live=silence is None,
                last_seen=self._heard.status_time,
                reason=silence,
            )
            await asyncio.sleep(LINK_LOOK_SECONDS)

    def silence(self) -> str | None:
        """Return why what the dashboards see is not live; None when it is."""
        since = self._reading_since
        if since is not None and (asyncio.get_running_loop().time() - since) * 1_000 >= SILENT_MS:
            return "the journal does not answer"
        if self._trouble is not None:
            return self._trouble
        here = self._front.position
        return self._heard.silence(epoch=here.epoch, now=self._now(), read_offset=here.offset)

    def _now(self) -> Millis:
        return int(asyncio.get_running_loop().time() * 1_000)


def _follows(found: Reading, here: Position) -> bool:
    """Whether what was read goes on where the front stands: the same epoch, nothing taken back, no hole."""
    if (found.position.stream, found.position.epoch) != (here.stream, here.epoch):
        return False
    if not found.events:
        return found.position.offset == here.offset
    last = found.events[-1]
    epoch = last.id.rpartition(":")[0].rpartition(":")[2]
    return found.events[0].offset == here.offset + 1 and epoch == here.epoch
