"""A WebSocket in memory between the front and a dashboard that reads at its own pace, and may be cut at any byte."""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from bridge.front.frame_writer import Disconnected

WINDOW: Final = 3  # frames on their way: what the buffers of both ends hold
TRAVEL: Final = 0.004  # seconds at most that what the client says is on its way
Listener = Callable[[str], None]


class Reader(Protocol):
    """The dashboard's end."""

    def pace(self) -> float | None:
        """Seconds until it takes the next frame; None: it takes none until `go_on`."""

    def hear(self, wire: "MemoryWire", text: str) -> None: ...

    def over(self, wire: "MemoryWire", code: int | None) -> None:
        """The connection is lost (None), or was closed by the front."""


class MemoryWire:
    """`cut_after`: the client gets so many bytes, and no frame of which one is missing."""

    def __init__(self, reader: Reader, chance: Random, *, cut_after: int | None = None) -> None:
        self.cut_after = cut_after
        self.heard: list[int] = []  # where each frame ended, in bytes
        self.on_read: Listener = lambda _: None  # the front takes what the client said
        self.on_write: Listener = lambda _: None  # the front says something
        self._reader = reader
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._said: deque[str] = deque()
        self._travelling_until = 0.0
        self._under_way: deque[str] = deque()
        self._goodbye: int | None = None
        self._news = asyncio.Event()  # for `receive`
        self._room = asyncio.Event()  # for `send`
        self._reading = False
        self._lost = False  # for the client
        self._known = False  # that it is lost, to the front

    # The front's end.

    async def receive(self) -> str | bytes:
        while not self._said:
            if self._known:
                raise Disconnected
            self._news.clear()
            await self._news.wait()
        text = self._said.popleft()
        self.on_read(text)
        return text

    async def send(self, text: str) -> None:
        self.on_write(text)
        while len(self._under_way) >= WINDOW and not self._known:
            self._room.clear()
            await self._room.wait()
        if self._known or self._goodbye is not None:
            raise Disconnected
        self._under_way.append(text)
        self.go_on()

    async def close(self, code: int, reason: str) -> None:
        assert len(reason.encode()) <= 123  # RFC 6455 5.5
        self._goodbye = int(code)
        self.go_on()

    # The dashboard's end.

    def say(self, text: str) -> None:
        self._travelling_until = max(self._travelling_until, self._loop.time() + self._chance.random() * TRAVEL)
        self._loop.call_at(self._travelling_until, self._arrive, text)

    def go_on(self) -> None:
        """Take the next frame in its time."""
        if self._reading or self._lost or not (self._under_way or self._goodbye is not None):
            return
        pace = self._reader.pace()
        if pace is not None:
            self._reading = True
            self._loop.call_later(pace, self._take)

    def cut(self, *, noticed_in: float | None = None) -> None:
        """Lose the connection: the client knows at once, the front after a while."""
        if self._lost:
            return
        self._lost = True
        delays = (0.0, 0.001, 0.3, 3.0, 45.0) if noticed_in is None else (noticed_in,)
        self._loop.call_later(self._chance.choice(delays), self._notice)
        self._reader.over(self, None)

    def _arrive(self, text: str) -> None:
        if not self._lost:
            self._said.append(text)
            self._news.set()

    def _take(self) -> None:
        self._reading = False
        if self._lost:
            return
        if not self._under_way:
            self._lost = True
            self._notice()
            self._reader.over(self, self._goodbye)
            return
        text = self._under_way.popleft()
        self._room.set()
        end = (self.heard[-1] if self.heard else 0) + len(text)
        if self.cut_after is None or end <= self.cut_after:
            self.heard.append(end)
            self._reader.hear(self, text)
        if self.cut_after is not None and end >= self.cut_after:
            self.cut()
        self.go_on()

    def _notice(self) -> None:
        self._known = True
        self._news.set()
        self._room.set()
