"""What has arrived from the broker and waits for the pipeline: bounded, in order, across connections."""

import asyncio
from collections import deque
from dataclasses import dataclass

from bridge.domain.messages import Message
from bridge.mqtt.connection import BrokerConnection


@dataclass(slots=True)
class _QueuedMessage:
    """A message's place in the queue, which a later copy of it takes over."""

    message: Message


class Inbox:
    """A queue that never drops: when it is full the connection stops reading, and the broker queues.

    What waits when a connection ends stays. Most brokers send it again, and that copy, whose receipt counts, takes its
    place; but one that was killed may have forgotten it, though it kept the session, and then ours is the only one.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound  # stops a flood from filling the memory
        self._queue: deque[_QueuedMessage] = deque()
        self._earlier: dict[
            int, _QueuedMessage
        ] = {}  # by packet identifier: what waits from connections before this one
        self._arrived = asyncio.Event()
        self._source: BrokerConnection | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: Message, source: BrokerConnection) -> None:
        """Add a message; `source` is paused when that fills the queue (at most a publish window may still follow)."""
        if source is not self._source:
            self._source = source
            self._earlier = {each.message.pending_ack.mid: each for each in self._queue if each.message.qos}
        if self._is_copy(message):
            self._earlier.pop(message.pending_ack.mid).message = message
            return
        self._queue.append(_QueuedMessage(message))
        self._arrived.set()
        if len(self._queue) >= self._bound:
            source.pause()

    def _is_copy(self, message: Message) -> bool:
        """Whether this is what waits already: MQTT 5 4.4, sent again with DUP and the packet identifier it had."""
        earlier = self._earlier.get(message.pending_ack.mid)
        if earlier is None or not message.redelivered:
            return False
        return (earlier.message.topic, earlier.message.payload) == (message.topic, message.payload)

    async def take(self, *, most: int) -> list[Message]:
        """Wait for at least one message; return what is there, at most `most`, in the order of arrival."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        for each in taken:
            if self._earlier.get(each.message.pending_ack.mid) is each:
                del self._earlier[each.message.pending_ack.mid]
        if self._source is not None and len(self._queue) <= self._bound // 2:
            self._source.resume()
        return [each.message for each in taken]
