"""The floor of the machine: a raw server that writes one buffer, made before, to each socket per tick.

With a tick, the events that are due in it are one array in one frame; without, each event is a write of its own.
"""

import asyncio
import struct
import sys
from collections.abc import Sequence
from typing import cast

from typing_extensions import override

from bridge.http.listener import listen
from bridge.wiring import runtime
from tests.bench.load import StampedBatch
from tests.bench.servers.served import obey

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

transports: list[asyncio.Transport] = []


class Accepting(asyncio.Protocol):
    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(ACCEPTED)
            transports.append(self._transport)


def frame(text: bytes) -> bytes:
    """Return a server's text frame (RFC 6455 5.2)."""
    size = len(text)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + text
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + text
    return struct.pack("!BBQ", 0x81, 127, size) + text


def prepare(batches: Sequence[StampedBatch], *, tick_ms: int) -> list[tuple[int, list[bytes]]]:
    """Return the buffers that are written one after the other at each tick."""
    if not tick_ms:
        return [(batch.due, [frame(event.body) for event in batch.events]) for batch in batches]
    ticks: dict[int, list[bytes]] = {}
    for batch in batches:
        ended = (batch.due - batches[0].due) // (tick_ms * 1_000_000) + 1
        due = batches[0].due + ended * tick_ms * 1_000_000
        ticks.setdefault(due, []).extend(event.body for event in batch.events)
    return [(due, [frame(b"[" + b",".join(bodies) + b"]")]) for due, bodies in ticks.items()]


async def send(buffers: Sequence[bytes]) -> None:
    for buffer in buffers:
        for transport in transports:
            transport.write(buffer)


async def run(tick_ms: int) -> None:
    server = await asyncio.get_running_loop().create_server(Accepting, sock=listen("127.0.0.1", 0))
    await obey(server.sockets[0].getsockname()[1], lambda batches: prepare(batches, tick_ms=tick_ms), send)
    server.close()


if __name__ == "__main__":
    runtime.run(run(int(sys.argv[1])))
