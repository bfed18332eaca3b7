"""A broker of which a test writes each packet, over a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.mqtt.link import BrokerLink
from tests.support.brokers import RunningBroker, client_settings

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14
CONNACK = bytes.fromhex("20 03 00 00 00")
PINGRESP = bytes.fromhex("d0 00")


def suback(packet: bytes, code: int) -> bytes:
    return bytes([0x90, 4]) + packet[:2] + bytes([0, code])


def packet_id_of(publish: bytes) -> bytes:
    """Return the packet identifier in the body of a PUBLISH with QoS 1."""
    name = int.from_bytes(publish[:2], "big")
    return publish[2 + name : 4 + name]


def puback(packet_id: bytes) -> bytes:
    return bytes([0x40, 2]) + packet_id


def publish(topic: str, payload: bytes, *, packet_id: int = 0, dup: bool = False) -> bytes:
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (packet_id.to_bytes(2, "big") if packet_id else b"") + b"\0" + payload
    return bytes([0x30 | (2 if packet_id else 0) | (8 if dup else 0), len(body)]) + body


@dataclass(slots=True)
class Peer:
    """The broker's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def packet(self) -> tuple[int, bytes]:
        """Return the next packet's type and body (bodies here are shorter than 16 KiB)."""
        first = (await self.reader.readexactly(1))[0]
        length = (await self.reader.readexactly(1))[0]
        if length & 0x80:
            length = (length & 0x7F) + (await self.reader.readexactly(1))[0] * 128
        return first >> 4, await self.reader.readexactly(length)

    async def expect(self, kind: int) -> bytes:
        while True:
            messages, body = await self.packet()
            if messages == kind:
                return body
            if messages == PINGREQ:
                self.writer.write(PINGRESP)

    async def admit(self, code: int = 1, *, connack: bytes = CONNACK) -> None:
        await self.expect(CONNECT)
        self.writer.write(connack)
        self.writer.write(suback(await self.expect(SUBSCRIBE), code))


Script = Callable[[Peer], Awaitable[None]]
Scripted = Callable[..., contextlib.AbstractAsyncContextManager[BrokerLink]]
"""`scripted_link` with one of the two readers: the fixture `scripted` of tests/mqtt."""


@contextlib.asynccontextmanager
async def scripted_link(
    script: Script, *, reader: str, optional: Sequence[tuple[str, int]] = ()
) -> AsyncIterator[BrokerLink]:
    """Serve `script` to every connection; yields a link to it that does not run yet."""

    async def serve(received: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await script(Peer(received, writer))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = client_settings(RunningBroker([], port, Path()), protocol="5", reader=reader)
        yield BrokerLink(
            settings, client_id="one", durable=True, subscriptions=[("a/#", 1)], optional=optional, queue_bound=10
        )
