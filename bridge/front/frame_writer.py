"""Writer of frames to one socket: one by one, or with batching on, as arrays of those that are due together."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from bridge.protocol.server_frames import Close, ServerFrame, encode_frame

CHUNK_EVENTS: Final = 256  # of one write: the most that an expiry, an answer or an alarm waits for
CHUNK_BYTES: Final = 16_384  # of one array frame, of which up to three copies exist while a client does not read
URGENT_POLL_SECONDS: Final = 0.5  # how late an urgent frame goes out while nothing else is written

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
