"""A broker of MQTT 5 for tests of what no installed broker does: it answers forbidden requests as the test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from bridge.domain.topics import TopicFilter, TopicName
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import RunningBroker, client_settings
from tests.support.scripted_broker import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBLISH,
    SUBSCRIBE,
    Peer,
    packet_id_of,
    puback,
    publish,
)

REFUSED = bytes.fromhex("20 03 00 87 00")


class Closed(Exception):
    """The broker closes this connection."""


@dataclass
class SmallBroker:
    """Routes with QoS 0. `admits` and `may_…` decide by user name and topic, or raise `Closed`."""

    admits: Callable[[str], bool] = lambda _: True
    may_publish: Callable[[str, str], bool] = lambda _user, _topic: True
    may_subscribe: Callable[[str, str], bool] = lambda _user, _filter: True
    granted: Callable[[str, str, Peer], None] = lambda _user, _filter, _peer: None
    published: list[str] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _subscribed: list[tuple[Peer, TopicFilter]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        peer = Peer(reader, writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, Closed):
            user = _user_name(await peer.expect(CONNECT))
            writer.write(CONNACK if self.admits(user) else REFUSED)
            while self.admits(user):
                await self._answer(peer, user)
        self._subscribed = [entry for entry in self._subscribed if entry[0] is not peer]
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.tasks.discard(task)

    async def _answer(self, peer: Peer, user: str) -> None:
        kind, body = await peer.packet()
        if kind == PINGREQ:
            peer.writer.write(PINGRESP)
        elif kind == SUBSCRIBE:
            filters = list(_filters(body[3:]))
            codes = [1 if self.may_subscribe(user, text) else 0x87 for text in filters]
            peer.writer.write(bytes([0x90, 3 + len(codes)]) + body[:2] + bytes([0, *codes]))
            for text, code in zip(filters, codes, strict=True):
                if code == 1:
                    self._subscribed.append((peer, TopicFilter.parse(text)))
                    self.granted(user, text, peer)
        elif kind == PUBLISH:
            topic = body[2 : 2 + int.from_bytes(body[:2], "big")].decode()
            if self.may_publish(user, topic):
                self._route(topic, body[len(topic) + 5 :])
            peer.writer.write(puback(packet_id_of(body)))
        elif kind == DISCONNECT:
            raise Closed

    def _route(self, topic: str, payload: bytes) -> None:
        self.published.append(topic)
        for peer, topic_filter in self._subscribed:
            if topic_filter.matches(TopicName.parse(topic)):
                peer.writer.write(publish(topic, payload))


def _user_name(connect: bytes) -> str:
    """Return the user name in the body of a CONNECT without a Will; empty without one."""
    flags, properties = connect[7], connect[10]
    rest = connect[11 + properties :]
    rest = rest[2 + int.from_bytes(rest[:2], "big") :]  # the client id
    return rest[2 : 2 + int.from_bytes(rest[:2], "big")].decode() if flags & 0x80 else ""


def _filters(body: bytes) -> list[str]:
    filters = []
    while body:
        length = int.from_bytes(body[:2], "big")
        filters.append(body[2 : 2 + length].decode())
        body = body[3 + length :]
    return filters


@contextlib.asynccontextmanager
async def serving(broker: SmallBroker) -> AsyncIterator[tuple[asyncio.Server, BrokerSettings]]:
    """Serve, and yield the server, and settings with a user for bridge, front and canary."""
    async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        users = {"username": "bridge", "front_username": "front", "canary_username": "_canary"}
        yield server, client_settings(RunningBroker([], port, Path()), protocol="5", **users)
    while broker.tasks:  # every client has gone
        await asyncio.wait(set(broker.tasks))
