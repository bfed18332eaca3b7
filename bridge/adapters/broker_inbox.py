"""What has arrived from the broker and waits for the pipeline: bounded, in order, across connections."""

import asyncio
from collections import deque

from bridge.adapters.broker_connection import Connection
from bridge.core.messages import Message


class Inbox:
    """A queue that never drops: when it is full the connection stops reading, and the broker queues."""

    def __init__(self, bound: int) -> None:
        self._bound = bound  # stops a flood from filling the memory
        self._queue: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._source: Connection | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: Message, source: Connection) -> None:
        """Add a message; `source` is paused when that fills the queue (at most a publish window may still follow)."""
        self._source = source
        self._queue.append(message)
        self._arrived.set()
        if len(self._queue) >= self._bound:
            source.pause()

    async def take(self, *, most: int) -> list[Message]:
        """Wait for at least one message; return what is there, at most `most`, in the order of arrival."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        if self._source is not None and len(self._queue) <= self._bound // 2:
            self._source.resume()
        return taken

    def forget_before(self, generation: int) -> int:
        """Drop what an earlier connection brought and the broker will send again; returns how many that were."""
        before = len(self._queue)
        self._queue = deque(each for each in self._queue if each.qos == 0 or each.receipt.generation == generation)
        return before - len(self._queue)
