"""A dashboard in memory: reads every frame until `stop_reading`."""

import asyncio

from typing_extensions import override

from tests.support.dashboard import PATIENCE, Dashboard
from tests.support.memory_socket import MemorySocket


class MemoryDashboard(Dashboard):
    """`socket` is the front's end."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = MemorySocket(self)
        self.close_code: int | None = None
        self._close_reason = ""
        self._is_reading = True
        self._last = ""  # the type of the last frame that it reads
        self._frame_arrived = asyncio.Event()

    def stop_reading(self, *, after: str | None = None) -> None:
        """Stop reading now, or `after` a frame of this type."""
        self._last = after or ""
        self._is_reading = after is not None

    def read_on(self) -> None:
        self._is_reading = True
        self.socket.go_on()

    @override
    async def send_text(self, text: str | bytes) -> None:
        self.socket.send_text(text)

    @override
    async def read(self) -> None:
        self._frame_arrived.clear()
        await self._frame_arrived.wait()

    @override
    async def closed(self, *, seconds: float = PATIENCE) -> tuple[int, str]:
        await self.until(lambda: self.close_code is not None, seconds=seconds)
        assert self.close_code is not None
        return self.close_code, self._close_reason

    @override
    async def disconnect(self) -> None:
        self.socket.cut()

    # What the socket asks of its reader.

    def pace(self) -> float | None:
        return 0.0 if self._is_reading else None

    def take(self, _socket: MemorySocket, text: str) -> None:
        if self.keep(text)[-1]["type"] == self._last:
            self.stop_reading()
        self._frame_arrived.set()

    def end(self, _socket: MemorySocket, code: int | None, reason: str) -> None:
        self.close_code, self._close_reason = code, reason
        self._frame_arrived.set()
