"""A bad network on one port: bytes pass through to a server, late, slowly, not at all, or only so many of them.

async with tcp_proxy(server_port) as network:
    connect to network.port
    network.to_client.bytes_per_second = 10_000  # for every connection, from now on
    network.plan_cut(Cut(after=1_234, end=End.RESET))  # the next connection ends within this byte of the answer
    network.cut(End.CLOSE)  # all connections end now
    network.freeze()  # half-open: both ends stay connected and receive nothing; `thaw` ends it
    network.freeze(network.to_client)  # the same in one direction
    network.freeze_passages()  # existing connections are dead without notice; new ones work
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

PIECE: Final = 65_536  # bytes of one read
SLICE_SECONDS: Final = 0.05  # of a throttled stream: so much of its rate goes in one piece


class ConnectionEnd(Enum):
    """TCP flag by which both sides see a connection end."""

    CLOSE = "FIN"
    RESET = "RST"


@dataclass(frozen=True, slots=True)
class Cut:
    """Ends a connection as soon as `after` bytes went one way: at 0 before the first of them."""

    after: int
    end: ConnectionEnd = ConnectionEnd.RESET
    from_client: bool = False


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class Direction:
    """Conditions of one direction of every connection; may be changed at any time."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0  # up to so much more, of each piece
    bytes_per_second: float | None = None  # None: as fast as it goes
    passed: int = 0  # bytes of all connections that went this way
    flowing: asyncio.Event = field(default_factory=_set)


class TcpProxy:
    """Made by `tcp_proxy`. Connections in progress are in `passages`."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port  # of new connections
        self.port = 0
        self.to_server = Direction()
        self.to_client = Direction()
        self.refusing = False  # whether new connections are reset at once
        self.connections = 0  # so many were accepted
        self.proxied: set[ProxiedConnection] = set()
        self._cuts: deque[Cut] = deque()

    def plan_cut(self, cut: Cut) -> None:
        """Cut the next connection that has no plan yet."""
        self._cuts.append(cut)

    def forget_cuts(self) -> None:
        """Let every connection live whose cut is still to come."""
        self._cuts.clear()
        for passage in self.proxied:
            passage.cut = None

    def cut(self, end: ConnectionEnd = ConnectionEnd.RESET) -> None:
        """End every connection now."""
        for passage in list(self.proxied):
            passage.end(end)

    def freeze(self, *directions: Direction) -> None:
        """Let nothing pass, and end nothing: a peer looks silent. By default in both directions."""
        for direction in directions or (self.to_server, self.to_client):
            direction.flowing.clear()

    def freeze_passages(self) -> None:
        """Let nothing more pass on the connections that are there; others may be made."""
        for passage in self.proxied:
            passage.flowing.clear()

    def thaw(self) -> None:
        flows = [self.to_server.flowing, self.to_client.flowing, *(passage.flowing for passage in self.proxied)]
        for flow in flows:
            flow.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        self.connections += 1
        if self.refusing:
            close(writer, ConnectionEnd.RESET)
            return
        try:
            for direction in (self.to_server, self.to_client):
                await direction.flowing.wait()  # a frozen network opens no connection either
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            close(writer, ConnectionEnd.RESET)
            return
        if self.refusing:
            close(upstream_writer, ConnectionEnd.RESET)
            close(writer, ConnectionEnd.RESET)
            return
        passage = ProxiedConnection(
            client=writer,
            server=upstream_writer,
            cut=self._cuts.popleft() if self._cuts else None,
        )
        self.proxied.add(passage)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(passage.carry(reader, upstream_writer, self.to_server, from_client=True))
                group.create_task(passage.carry(upstream_reader, writer, self.to_client, from_client=False))
        finally:
            passage.end(ConnectionEnd.CLOSE)
            self.proxied.discard(passage)


@dataclass(eq=False, slots=True)
class ProxiedConnection:
    """One connection on its way through."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    cut: Cut | None
    flowing: asyncio.Event = field(default_factory=_set)
    over: bool = field(default=False)
    _passed: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})

    def end(self, end: ConnectionEnd) -> None:
        if not self.over:
            self.over = True
            close(self.client, end)
            close(self.server, end)

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction, *, from_client: bool
    ) -> None:
        """Carry one direction until either side has ended it."""
        with contextlib.suppress(OSError):
            while not self.over and (piece := await reader.read(self._most(direction))):
                await direction.flowing.wait()
                await self.flowing.wait()
                if direction.delay_seconds or direction.jitter_seconds:
                    await asyncio.sleep(direction.delay_seconds + random.uniform(0, direction.jitter_seconds))
                if direction.bytes_per_second is not None:
                    await asyncio.sleep(len(piece) / direction.bytes_per_second)
                await self._pass(piece, writer, direction, from_client=from_client)
        self.end(ConnectionEnd.CLOSE)

    def _most(self, direction: Direction) -> int:
        if direction.bytes_per_second is None:
            return PIECE
        return max(1, min(PIECE, int(direction.bytes_per_second * SLICE_SECONDS)))

    async def _pass(
        self, piece: bytes, writer: asyncio.StreamWriter, direction: Direction, *, from_client: bool
    ) -> None:
        cut = self.cut if self.cut is not None and self.cut.from_client == from_client else None
        if cut is not None:
            piece = piece[: max(0, cut.after - self._passed[from_client])]
        if self.over:
            return
        writer.write(piece)
        self._passed[from_client] += len(piece)
        direction.passed += len(piece)
        # A writer that can't get rid of it waits here, so a reader that doesn't read is felt at the other end.
        await writer.drain()
        if cut is not None and self._passed[from_client] >= cut.after:
            self.end(cut.end)


def close(writer: asyncio.StreamWriter, end: ConnectionEnd) -> None:
    """Close one side: all that was written is sent before a FIN, a RST throws it away."""
    if end is ConnectionEnd.RESET:
        plug: socket.socket | None = writer.get_extra_info("socket")
        if plug is not None and plug.fileno() >= 0:
            # Lingering for no time is what makes a close a reset (socket(7), SO_LINGER).
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


@contextlib.asynccontextmanager
async def tcp_proxy(target_port: int) -> AsyncIterator[TcpProxy]:
    """Pass connections on to a port of this machine, until the end of the block."""
    proxy = TcpProxy(target_port)
    serving: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await proxy.serve(reader, writer)
        finally:
            serving.discard(task)

    # The kernel's buffers hold little of what is not read: a frozen or throttled way is felt soon.
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(accept, sock=listener)
    proxy.port = listener.getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.refusing = True
        proxy.thaw()
        proxy.to_client, proxy.to_server = Direction(), Direction()
        while serving:
            proxy.cut(ConnectionEnd.RESET)
            await asyncio.wait(list(serving), timeout=0.1)
