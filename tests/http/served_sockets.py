"""A server whose ASGI app accepts every WebSocket and hands it over to a recording handler; raw clients for it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.frames import Opcode

from bridge.http.hand_over import hand_over
from bridge.http.listener import listen
from bridge.http.load import ServerLoad
from bridge.http.server import serve
from bridge.http.websocket import WebSocketConnection
from bridge.ports.dashboard_socket import DashboardSocket
from bridge.protocol.websocket_frames import text_frames
from bridge.settings.web import WebSettings
from tests.support.brokers import until

DEADLINE = 10.0
HEADERS = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a client's frame of at most 125 bytes; its mask of zeros leaves the payload as it is."""
    return bytes((opcode | (0x80 if fin else 0), 0x80 | len(payload), 0, 0, 0, 0)) + payload


@dataclass
class Recorder:
    """Records what happens on one socket, and answers each message with its length."""

    socket: DashboardSocket
    messages: list[str | bytes] = field(default_factory=list)
    writable_calls: int = 0
    disconnected_calls: int = 0
    on_message: Callable[[str | bytes], None] | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the server has forgotten the connection."""
        return isinstance(self.socket, WebSocketConnection) and self.socket not in self.socket._connections  # noqa: SLF001

    def message_received(self, message: str | bytes) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)
        else:
            self.send(f"{len(message)}")

    def writable(self) -> None:
        self.writable_calls += 1

    def disconnected(self) -> None:
        self.disconnected_calls += 1

    def send(self, text: str) -> None:
        self.socket.write(text_frames([text.encode()]))

    def fill(self) -> None:
        """Write until the client, which does not read, has stopped it."""
        while self.socket.is_writable:
            self.send("x" * 10_000)


@dataclass
class SocketApp:
    """ASGI app; `opened`: the handlers, oldest first. `on_open` may fail, or close the socket.

    `user` is whose sockets they are from the start; None: nobody's.
    """

    opened: list[Recorder] = field(default_factory=list)
    user: str | None = "eva"
    on_open: Callable[[Recorder], None] | None = None
    may_accept: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_accept.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_accept.wait()
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        hand_over(scope, self._open)

    def _open(self, opened: DashboardSocket) -> Recorder:
        recorder = Recorder(opened)
        self.opened.append(recorder)
        if self.user is not None:
            opened.authenticated(self.user)
        if self.on_open is not None:
            self.on_open(recorder)
        return recorder

    async def newest(self) -> Recorder:
        await until(lambda: bool(self.opened), what="a socket is open")
        return self.opened[-1]


def reset(client: socket.socket) -> None:
    """End a connection with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@asynccontextmanager
async def served(app: ASGIApp, web: WebSettings | None = None, *, load: ServerLoad | None = None) -> AsyncIterator[int]:
    """Serve on a free port, with a small send buffer, so that a client that does not read is felt soon."""
    listener = listen("127.0.0.1", 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # inherited
    port: int = listener.getsockname()[1]
    started = asyncio.Event()
    task = asyncio.create_task(serve(app, load or ServerLoad(web or WebSettings()), listener=listener, started=started))
    try:
        await asyncio.wait_for(started.wait(), DEADLINE)
        yield port
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE)


async def connected(port: int, *, narrow: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect; a narrow connection holds little of what one side sends and the other does not read."""
    raw = socket.socket()
    if narrow:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=raw, limit=4_096 if narrow else 65_536)


class RawClient:
    """A client that reads only when a test calls for it, and sends any bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(
        cls,
        port: int,
        behind_head: bytes = b"",
        *,
        path: bytes = b"/ws",
        host: bytes = b"localhost",
        headers: bytes = b"",
        narrow: bool = False,
    ) -> "RawClient":
        reader, writer = await connected(port, narrow=narrow)
        writer.write(b"GET %b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n%b" % (path, host, HEADERS, headers, behind_head))
        return cls(reader, writer)

    async def upgraded(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE)

    async def frame(self) -> tuple[int, bytes]:
        """Return the next frame: its opcode and payload."""
        async with asyncio.timeout(DEADLINE):
            head, size = await self.reader.readexactly(2)
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
            return head & 0x0F, await self.reader.readexactly(size)

    async def close_frame(self) -> tuple[int, str]:
        """Read on to the close frame; return its code and reason."""
        while True:
            opcode, payload = await self.frame()
            if opcode == Opcode.CLOSE:
                return int.from_bytes(payload[:2]), payload[2:].decode()

    async def rest(self) -> bytes:
        """Read on to the end of the connection, a reset included."""
        received = bytearray()
        async with asyncio.timeout(DEADLINE):
            try:
                while data := await self.reader.read(65_536):
                    received += data
            except ConnectionError:
                pass
        return bytes(received)

    def pause_reading(self) -> None:
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def upgraded_client(
    app: ASGIApp, web: WebSettings | None = None, *, load: ServerLoad | None = None, narrow: bool = False
) -> AsyncIterator[RawClient]:
    """Serve the app to one client whose WebSocket is open, and close it before the server stops."""
    async with served(app, web, load=load) as port:
        client = await RawClient.connect(port, narrow=narrow)
        await client.upgraded()
        yield client
        client.close()
