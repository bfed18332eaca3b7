"""A dashboard that costs next to nothing: WebSocket by hand (RFC 6455), for thousands of them in one process."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from typing_extensions import override

from tests.support.dashboard import PATIENCE, Dashboard, Frame

UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def masked(content: bytes, opcode: int = TEXT) -> bytes:
    """Return a client's frame; a mask of zeros leaves the content as it is."""
    size = len(content)
    head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    return head + bytes(4) + content


def encoded(*frames: Frame) -> bytes:
    return b"".join(masked(json.dumps(frame).encode()) for frame in frames)


class BytesDashboard(Dashboard, asyncio.Protocol):
    """Sends `first` once the socket is up. Where there is a `take`, it gets every message, and none is kept."""

    def __init__(self, first: bytes, take: Callable[["BytesDashboard", bytes], None] | None, upgrade: bytes) -> None:
        super().__init__()
        self.is_closed = False
        self.close_code: int | None = None  # none also where the connection ended without a close frame
        self.close_reason = ""
        self.upgraded = asyncio.Event()
        self._first = first
        self._take = take
        self._upgrade = upgrade
        self._buffer = b""
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def send_bytes(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def abort(self) -> None:
        """Leave without a word."""
        if self._transport is not None:
            self._transport.abort()

    @override
    async def send_text(self, text: str | bytes) -> None:
        self.send_bytes(masked(text.encode()) if isinstance(text, str) else masked(text, BINARY))

    @override
    async def read(self) -> None:
        self._news.clear()
        await self._news.wait()

    @override
    async def closed(self, *, seconds: float = PATIENCE) -> tuple[int, str]:
        await self.until(lambda: self.is_closed, seconds=seconds)
        assert self.close_code is not None, "it was cut off without a close frame"
        return self.close_code, self.close_reason

    @override
    async def disconnect(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.write(self._upgrade)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._news.set()

    @override
    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        at = 0
        if not self.upgraded.is_set():
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self._buffer = data
                return
            self.upgraded.set()
            self.send_bytes(self._first)
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < max(start + size, at + 10 if data[at + 1] == 127 else start):
                break
            self._receive(data[at] & 0x0F, data[start : start + size])
            at = start + size
        self._buffer = data[at:]

    def _receive(self, opcode: int, content: bytes) -> None:
        if opcode == TEXT and self._take is not None:
            self._take(self, content)
        elif opcode == TEXT:
            self.keep(content.decode())
        elif opcode == PING:
            self.send_bytes(masked(content, PONG))
        elif opcode == CLOSE:
            self.is_closed = True
            if content:
                self.close_code, self.close_reason = int.from_bytes(content[:2]), content[2:].decode()
        self._news.set()


async def connect(
    port: int,
    first: bytes = b"",
    take: Callable[[BytesDashboard, bytes], None] | None = None,
    *,
    upgrade: bytes = UPGRADE,
) -> BytesDashboard:
    loop = asyncio.get_running_loop()
    _, board = await loop.create_connection(lambda: BytesDashboard(first, take, upgrade), "127.0.0.1", port)
    return board


async def stalled(port: int, first: bytes) -> socket.socket:
    """Return a dashboard that sends `first` and then reads nothing, with as little room in its kernel as that gives."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", port))
    await loop.sock_sendall(raw, UPGRADE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += await loop.sock_recv(raw, 1_024)
    await loop.sock_sendall(raw, first)
    return raw
