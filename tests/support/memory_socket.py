"""A WebSocket in memory between the front and a dashboard that reads at its own pace, and may be cut at any byte."""

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from random import Random
from typing import Final, Protocol

from bridge.ports.dashboard_socket import SocketHandler

TRAVEL: Final = 0.004  # seconds at most that what a client sends is on its way, where there is a `chance`
Listener = Callable[[str], None]


class FrameReader(Protocol):
    """The dashboard's end."""

    def pace(self) -> float | None:
        """Return the seconds until it takes the next frame; 0: at once; None: it takes none until `go_on`."""

    def take(self, socket: "MemorySocket", text: str) -> None: ...

    def end(self, socket: "MemorySocket", code: int | None, reason: str) -> None:
        """The connection is lost (None), or was closed by the front."""


class MemorySocket:
    """The front's `DashboardSocket`.

    `window`: frames on their way, what the buffers of both ends hold. `chance`: decides how long what the client sends
    is on its way, and when a front notices that the client is lost; without it both are at once. `cut_after`: the
    client gets so many bytes, and no frame of which one is missing.
    """

    def __init__(
        self, reader: FrameReader, *, window: int = 0, chance: Random | None = None, cut_after: int | None = None
    ) -> None:
        self.cut_after = cut_after
        self.frame_ends: list[int] = []  # where each frame that was taken ended, in bytes
        self.on_read: Listener = lambda _: None  # the front takes what the client sent
        self.on_write: Listener = lambda _: None  # the front sends something
        self.is_writable = True
        self.user_id: str | None = None  # that pays
        self.charged_ms = 0.0  # for work that was not the socket's
        self._reader = reader
        self._window = window
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._handler: SocketHandler | None = None
        self._sent: deque[str | bytes] = deque()  # by the client
        self._travelling_until = 0.0
        self._in_flight: deque[str] = deque()
        self._goodbye: tuple[int, str] | None = None
        self._reading = False
        self._reading_paused = False  # by the front
        self._lost = False  # for the client
        self._known = False  # that it is over, to the front

    # The front's end.

    def attach(self, handler: SocketHandler | None) -> None:
        """Let this handler take what happens; None: the front has closed the socket."""
        self._handler = handler
        self._deliver()

    @property
    def unsent_bytes(self) -> int:
        return sum(map(len, self._in_flight))

    @property
    def has_unread(self) -> bool:
        return bool(self._sent)

    def write(self, frames: bytes) -> None:
        if self._known or self._goodbye is not None:
            return
        for text in texts_of(frames):
            self.on_write(text)
            self._in_flight.append(text)
        self.go_on()
        self.is_writable = self._has_room()

    def authenticated(self, user_id: str) -> None:
        self.user_id = user_id

    def charge(self, ms: float) -> None:
        self.charged_ms += ms

    def in_turn(self, work: Callable[[], None]) -> None:
        self._loop.call_soon(work)

    def run_steps(self, steps: Generator[None, None, None]) -> None:
        deque(steps, maxlen=0)  # at once

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        self._reading_paused = False
        self._loop.call_soon(self._deliver)

    def close(self, code: int, reason: str) -> None:
        assert len(reason.encode()) <= 123  # RFC 6455 5.5
        if self._known or self._goodbye is not None:
            return
        self._goodbye, self._handler = (int(code), reason), None
        if self._window:
            self.go_on()
        elif not self._lost:
            self._in_flight.clear()  # the client learns it even if it reads nothing
            self._take()

    # The dashboard's end.

    @property
    def unread(self) -> int:
        """Messages of the client that the front has not taken."""
        return len(self._sent)

    def send_text(self, text: str | bytes) -> None:
        if self._chance is None:
            self._arrive(text)
            return
        self._travelling_until = max(self._travelling_until, self._loop.time() + self._chance.random() * TRAVEL)
        self._loop.call_at(self._travelling_until, self._arrive, text)

    def go_on(self) -> None:
        """Take the next frame in its time."""
        if self._reading or self._lost or not (self._in_flight or self._goodbye is not None):
            return
        pace = self._reader.pace()
        if pace == 0:
            self._take()
        elif pace is not None:
            self._reading = True
            self._loop.call_later(pace, self._take)

    def cut(self, *, noticed_in: float | None = None) -> None:
        """Lose the connection: the client knows at once, the front after a while."""
        if self._lost:
            return
        self._lost = True
        if self._chance is None:
            self._notice()
        else:
            delays = (0.0, 0.001, 0.3, 3.0, 45.0) if noticed_in is None else (noticed_in,)
            self._loop.call_later(self._chance.choice(delays), self._notice)
        self._reader.end(self, None, "")

    def _arrive(self, text: str | bytes) -> None:
        if not self._lost:
            self._sent.append(text)
            self._deliver()

    def _deliver(self) -> None:
        """Pass on what the client has sent, as far as the front reads."""
        while self._sent and self._handler is not None and not self._reading_paused:
            message = self._sent.popleft()
            if isinstance(message, str):
                self.on_read(message)
            self._handler.message_received(message)

    def _take(self) -> None:
        self._reading = False
        if self._lost:
            return
        if not self._in_flight:
            assert self._goodbye is not None
            self._lost = self._known = True
            self._reader.end(self, *self._goodbye)
            return
        text = self._in_flight.popleft()
        end = (self.frame_ends[-1] if self.frame_ends else 0) + len(text)
        if self.cut_after is None or end <= self.cut_after:
            self.frame_ends.append(end)
            self._reader.take(self, text)
        if self.cut_after is not None and end >= self.cut_after:
            self.cut()
        if not self.is_writable and self._has_room():
            self.is_writable = True
            if self._handler is not None and not self._lost:
                self._handler.writable()
        self.go_on()

    def _notice(self) -> None:
        if not self._known:
            self._known = True
            handler, self._handler = self._handler, None
            if handler is not None:
                handler.disconnected()

    def _has_room(self) -> bool:
        return len(self._in_flight) < max(self._window, 1)


def texts_of(frames: bytes) -> list[str]:
    """Return the payloads of a server's text frames (RFC 6455 5.2)."""
    texts: list[str] = []
    start = 0
    while start < len(frames):
        assert frames[start] == 0x81, "a whole text frame"
        length, start = frames[start + 1], start + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, start = int.from_bytes(frames[start : start + size], "big"), start + size
        assert start + length <= len(frames), "whole"
        texts.append(frames[start : start + length].decode())
        start += length
    return texts
