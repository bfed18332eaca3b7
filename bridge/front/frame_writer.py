"""Writer of one connection: the queue of its answers and tasks, and frames to the socket.

Frames are written one by one, or with batching on, as arrays of those that are due together.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from bridge.protocol.actions import EnablePush, ResumeFrom, SendSnapshot, SetBatching
from bridge.protocol.active_subscriptions import ActiveSubscription, SubscriptionSet
from bridge.protocol.server_frames import Close, ServerFrame, encode_frame

CHUNK_EVENTS: Final = 256  # of one write: the most that an expiry, an answer or an alarm waits for
CHUNK_BYTES: Final = 16_384  # of one array frame, of which up to three copies exist while a client does not read
URGENT_POLL_SECONDS: Final = 0.5  # how late an urgent frame goes out while nothing else is written
MAX_QUEUED_TASKS: Final = 256  # for a client that sends requests and does not read
MAX_ANSWER_BYTES: Final = 16_384  # of all queued answers; a single answer may be larger
MAX_ANSWERS_PER_WRITE: Final = 256  # of one write

Read = TypeVar("Read")


class Disconnected(Exception):
    """The client is gone."""


class ConnectionEnded(Exception):
    """The end of the connection; raised where it is detected, caught where the socket is closed."""

    def __init__(self, close: Close) -> None:
        super().__init__(close.reason)
        self.close = close


class SocketWriter(Protocol):
    """The sending half of a dashboard's socket."""

    async def send(self, text: str) -> None:
        """Send one frame, waiting while the client does not read; raise Disconnected."""


class FrameWriter:
    """Writes encoded frames. `require_open` runs before every frame and raises ConnectionEnded when none may be sent.

    `take_urgent` also runs before every frame and returns one to send first: a long snapshot or replay delays no
    warning.
    """

    def __init__(self, socket: SocketWriter, *, require_open: Callable[[], None]) -> None:
        self.batch = False
        self.take_urgent: Callable[[], bytes | None] = lambda: None
        self.sending_since: float | None = None  # loop time at which a frame began to wait for the client
        self._socket = socket
        self._require_open = require_open
        self._loop = asyncio.get_running_loop()

    @property
    def events_per_write(self) -> int:
        """Return how many events to take for one write: one without batching, so that none is taken early."""
        return CHUNK_EVENTS if self.batch else 1

    async def write(self, parts: Sequence[bytes]) -> None:
        if not parts:
            return
        for text in [_json_array(parts)] if self.batch else parts:
            await self.write_urgent()
            await self._send(text)

    async def write_urgent(self) -> None:
        """Write the urgent frame, if there is one."""
        urgent = self.take_urgent()
        if urgent is not None:
            await self._send(_json_array([urgent]) if self.batch else urgent)

    async def write_frames(self, *frames: ServerFrame) -> None:
        await self.write([encode_frame(frame) for frame in frames])

    async def write_each(self, bodies: Iterator[bytes]) -> int:
        """Write all bodies, taking each only when its frame is due; returns how many."""
        count = 0
        while chunk := self._next_chunk(bodies):
            await self.write(chunk)
            count += len(chunk)
        return count

    async def await_read(self, read: Coroutine[Any, Any, Read]) -> Read:
        """Return the result of `read`; urgent frames are written meanwhile, even if the disk does not respond."""
        task = self._loop.create_task(read, name="front read")
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=URGENT_POLL_SECONDS)
                await self.write_urgent()
            return task.result()
        finally:
            task.cancel()

    async def _send(self, text: bytes) -> None:
        self._require_open()
        self.sending_since = self._loop.time()
        await self._socket.send(text.decode())
        self.sending_since = None

    def _next_chunk(self, bodies: Iterator[bytes]) -> list[bytes]:
        chunk: list[bytes] = []
        size = 0
        for body in islice(bodies, self.events_per_write):
            chunk.append(body)
            size += len(body)
            if size > CHUNK_BYTES:
                break
        return chunk


def _json_array(parts: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


@dataclass(frozen=True, slots=True)
class SnapshotTask:
    """A snapshot to send, unless its subscription has ended, or was replaced by one with the same id, by its turn."""

    subscription: ActiveSubscription


@dataclass(frozen=True, slots=True)
class ResumeTask:
    """An answer to `resume`, and the replay for those of its subscriptions that are still in force."""

    resume: ResumeFrom
    subscriptions: tuple[ActiveSubscription, ...]


WriteRequest = bytes | SetBatching | EnablePush | SendSnapshot | ResumeFrom | Close
WriteTask = bytes | SetBatching | EnablePush | SnapshotTask | ResumeTask | Close


class WriteQueue:
    """Encoded answers and tasks, in order, bound to the subscriptions they were requested for.

    `not_full` is cleared while no more requests may be read.
    """

    def __init__(self) -> None:
        self.not_full = asyncio.Event()
        self.not_full.set()
        self._waiting: deque[WriteTask] = deque()
        self._answer_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def head(self) -> WriteTask | None:
        return self._waiting[0] if self._waiting else None

    @property
    def has_snapshot_or_replay(self) -> bool:
        """Return whether a snapshot or a replay is queued."""
        return any(isinstance(task, SnapshotTask | ResumeTask) for task in self._waiting)

    def put(self, item: WriteRequest, subscriptions: SubscriptionSet) -> None:
        """Append the item, bound to the subscriptions now in force, not to later ones with the same ids."""
        match item:
            case SendSnapshot(subscription_id):
                self._waiting.append(SnapshotTask(subscriptions.by_id[subscription_id]))
            case ResumeFrom(resumed):
                active = (subscriptions.by_id[subscription.request.id] for subscription in resumed)
                self._waiting.append(ResumeTask(item, tuple(active)))
            case _:
                self._waiting.append(item)
        if isinstance(item, bytes):
            self._answer_bytes += len(item)
        if self._is_full:
            self.not_full.clear()

    def take(self) -> WriteTask:
        task = self._waiting.popleft()
        if isinstance(task, bytes):
            self._answer_bytes -= len(task)
        return task

    def take_answers(self) -> list[bytes]:
        """Take the answers at the head, up to the next task."""
        answers: list[bytes] = []
        while isinstance(self.head, bytes) and len(answers) < MAX_ANSWERS_PER_WRITE:
            answer = self.take()
            assert isinstance(answer, bytes)
            answers.append(answer)
        return answers

    def mark_written(self) -> None:
        """Allow more requests after answers were written, unless the queue is still full."""
        if not self._is_full:
            self.not_full.set()

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= MAX_QUEUED_TASKS or self._answer_bytes >= MAX_ANSWER_BYTES
