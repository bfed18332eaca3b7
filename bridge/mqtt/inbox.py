"""The inbox of received messages between the connections to the broker and the pipeline."""

import asyncio
from collections import deque
from dataclasses import dataclass

from bridge.domain.messages import Message
from bridge.mqtt.connection import BrokerConnection


@dataclass(slots=True)
class _QueuedMessage:
    """A queue entry; a copy that the broker sends again replaces its message."""

    message: Message


class Inbox:
    """Messages on their way to the pipeline, kept in order across connections.

    It never drops one: when it is full, the connection stops reading and the broker queues.

    Messages that wait when a connection ends are kept. Most brokers send them again. That copy replaces the waiting
    one, because only its acknowledgement is valid. A broker that was killed may have lost them although it kept the
    session; then the waiting one is the only copy.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound  # keeps a flood from filling the memory
        self._queue: deque[_QueuedMessage] = deque()
        self._earlier: dict[int, _QueuedMessage] = {}  # packet identifier -> message waiting from an earlier connection
        self._arrived = asyncio.Event()
        self._source: BrokerConnection | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: Message, source: BrokerConnection) -> None:
        """Add a message. Pause `source` when that fills the queue; up to a publish window may still arrive."""
        if source is not self._source:
            self._source = source
            self._earlier = {entry.message.pending_ack.packet_id: entry for entry in self._queue if entry.message.qos}
        if self._is_copy(message):
            self._earlier.pop(message.pending_ack.packet_id).message = message
            return
        self._queue.append(_QueuedMessage(message))
        self._arrived.set()
        if len(self._queue) >= self._bound:
            source.pause()

    def _is_copy(self, message: Message) -> bool:
        """Return whether this message waits already: MQTT 5 4.4, sent again with DUP and its packet identifier."""
        earlier = self._earlier.get(message.pending_ack.packet_id)
        if earlier is None or not message.redelivered:
            return False
        return (earlier.message.topic, earlier.message.payload) == (message.topic, message.payload)

    async def take(self, *, most: int) -> list[Message]:
        """Wait for at least one message; return up to `most`, in order of arrival."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        entries = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        for entry in entries:
            if self._earlier.get(entry.message.pending_ack.packet_id) is entry:
                del self._earlier[entry.message.pending_ack.packet_id]
        if self._source is not None and len(self._queue) <= self._bound // 2:
            self._source.resume()
        return [entry.message for entry in entries]
