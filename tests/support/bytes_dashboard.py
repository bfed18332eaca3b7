"""Dashboards that cost next to nothing: WebSocket by hand (RFC 6455), for thousands of them in one process."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


def masked(content: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame; a mask of zeros leaves the content as it is."""
    size = len(content)
    head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    return head + bytes(4) + content


def said(*frames: dict[str, Any]) -> bytes:
    return b"".join(masked(json.dumps(frame).encode()) for frame in frames)


class RawDashboard(asyncio.Protocol):
    """Says `first` once the socket is up, and hands every text that comes to `hear`."""

    def __init__(self, first: bytes, hear: Callable[["RawDashboard", bytes], None]) -> None:
        self.ended: bytes | None = None  # the content of the close frame; empty when there was none
        self._first = first
        self._hear = hear
        self._up = False
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.write(UPGRADE)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.ended = self.ended or b""

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        at = 0
        if not self._up:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self._buffer = data
                return
            self._up = True
            self.say(self._first)
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < max(start + size, at + 10 if data[at + 1] == 127 else start):
                break
            self._frame(data[at] & 0x0F, data[start : start + size])
            at = start + size
        self._buffer = data[at:]

    def say(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _frame(self, opcode: int, content: bytes) -> None:
        if opcode == TEXT:
            self._hear(self, content)
        elif opcode == PING:
            self.say(masked(content, PONG))
        elif opcode == CLOSE:
            self.ended = content


async def connect(port: int, first: bytes, hear: Callable[[RawDashboard, bytes], None]) -> RawDashboard:
    loop = asyncio.get_running_loop()
    _, dashboard = await loop.create_connection(lambda: RawDashboard(first, hear), "127.0.0.1", port)
    return dashboard


async def stalled(port: int, first: bytes) -> socket.socket:
    """A dashboard that says `first` and then reads nothing, with as little room in its kernel as that gives."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", port))
    await loop.sock_sendall(raw, UPGRADE)
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += await loop.sock_recv(raw, 1_024)
    await loop.sock_sendall(raw, first)
    return raw
