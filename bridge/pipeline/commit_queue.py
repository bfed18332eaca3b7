"""The queue of applied inputs that wait for their commit, between the pipeline's intake and its committer."""

import asyncio
from typing import Final, NamedTuple

from bridge.domain.messages import Message
from bridge.domain.records import JournalEntry

MAX_BATCH_EVENTS: Final = 10_000  # bounds a batch's memory when overdue deadlines make thousands of events per input


class PendingInput(NamedTuple):
    """An applied input, and the message that brought it, which is acknowledged once the input is durable."""

    entry: JournalEntry
    message: Message | None  # None: no message brought it
    replayed: int | None  # number of the quarantined input that this replays


class CommitQueue:
    """Applied inputs in order of arrival. Bounded: the intake waits for room while a whole batch is pending."""

    def __init__(self, *, most: int) -> None:
        self._most = most  # bounds the memory behind a slow disk, and how long one commit takes
        self._waiting: list[PendingInput] = []
        self._events = 0
        self.is_closed = False  # nothing more will be added
        self._work = asyncio.Event()  # something is pending, or the queue is closed
        self._full = asyncio.Event()  # a batch need not wait for more inputs
        self._room = asyncio.Event()
        self._room.set()

    def topics(self) -> list[str]:
        return [pending.entry.input.topic for pending in self._waiting]

    @property
    def capacity_left(self) -> int:
        """Return how many inputs may still be added before the batch is full."""
        return self._most - len(self._waiting)

    @property
    def _is_full(self) -> bool:
        return self.capacity_left <= 0 or self._events >= MAX_BATCH_EVENTS

    def add(self, entry: JournalEntry, message: Message | None = None, *, replayed: int | None = None) -> None:
        self._waiting.append(PendingInput(entry, message, replayed))
        self._events += len(entry.events)
        self._work.set()
        if self._is_full:
            self._full.set()
            self._room.clear()

    def take_all(self) -> list[PendingInput]:
        """Remove and return all pending inputs."""
        pending, self._waiting = self._waiting, []
        self._events = 0
        self._room.set()
        if not self.is_closed:
            self._work.clear()
            self._full.clear()
        return pending

    def close(self) -> None:
        """Close the queue: nothing more will be added."""
        self.is_closed = True
        self._work.set()
        self._full.set()

    async def wait_for_room(self) -> None:
        """Wait until an input may be added, or `wake_producer` is called."""
        await self._room.wait()

    def block(self) -> None:
        """Stop additions while a batch cannot be committed."""
        self._room.clear()

    def unblock(self) -> None:
        """End a `block`; a full queue still admits nothing."""
        if not self._is_full:
            self._room.set()

    def wake_producer(self) -> None:
        """Wake the producer although there may be no room: it must notice a stop."""
        self._room.set()

    async def wait_for_batch(self, *, batch_wait_seconds: float, until: float) -> None:
        """Wait until a batch is worth committing, or until `until` on the loop's clock."""
        if await wait_until_set(self._work, until):
            await wait_until_set(self._full, asyncio.get_running_loop().time() + batch_wait_seconds)


async def wait_until_set(event: asyncio.Event, until: float) -> bool:
    """Wait for the event; return False if it was not set before `until` on the loop's clock."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return False
    return True
