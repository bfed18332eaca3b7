"""Frames onto one socket: each its own, or with batching on, arrays of what is due together."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from bridge.core.dashboard.server_frames import Close, ServerFrame, encode_frame

CHUNK_EVENTS: Final = 256  # of one write: what an expiry, an answer or an alarm may have to wait behind
CHUNK_BYTES: Final = 16_384  # of one array frame: it is held up to three times while a client does not read


class Disconnected(Exception):
    """The client is gone."""


class Ended(Exception):
    """The connection is over; raised where it is found, caught where the socket is closed."""

    def __init__(self, close: Close) -> None:
        super().__init__(close.reason)
        self.close = close


class Wire(Protocol):
    async def send(self, text: str) -> None:
        """Send one frame, waiting as long as the client doesn't read; raises Disconnected."""


class FrameWriter:
    """Joins what is encoded already. `check`, asked before every frame, raises Ended when nothing may be sent."""

    def __init__(self, wire: Wire, *, check: Callable[[], None]) -> None:
        self.batch = False
        self.sending_since: float | None = None  # loop time at which a frame began to wait for the client
        self._wire = wire
        self._check = check
        self._loop = asyncio.get_running_loop()

    @property
    def events(self) -> int:
        """How many events to take for one write: with each its own frame, none is taken before its turn."""
        return CHUNK_EVENTS if self.batch else 1

    async def write(self, parts: Sequence[bytes]) -> None:
        if not parts:
            return
        for text in [b"[" + b",".join(parts) + b"]"] if self.batch else parts:
            self._check()
            self.sending_since = self._loop.time()
            await self._wire.send(text.decode())
            self.sending_since = None

    async def write_frames(self, *frames: ServerFrame) -> None:
        await self.write([encode_frame(frame) for frame in frames])

    async def write_each(self, bodies: Iterator[bytes]) -> int:
        """Write them all, asking for each no sooner than its frame is due; returns how many."""
        count = 0
        while chunk := self._next(bodies):
            await self.write(chunk)
            count += len(chunk)
            if count % CHUNK_EVENTS == 0:
                await asyncio.sleep(0)  # a socket that never waits would keep the loop from everybody else
        return count

    def _next(self, bodies: Iterator[bytes]) -> list[bytes]:
        chunk: list[bytes] = []
        size = 0
        for body in islice(bodies, self.events):
            chunk.append(body)
            size += len(body)
            if size > CHUNK_BYTES:
                break
        return chunk
