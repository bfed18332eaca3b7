"""The link against a scripted broker that refuses, sends garbage, stays silent or floods, over a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.domain.messages import Publication
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerUnavailable
from tests.support.brokers import RunningBroker, client_settings, linked, receive, started, until

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14
CONNACK = bytes.fromhex("20 03 00 00 00")
PINGRESP = bytes.fromhex("d0 00")


def suback(packet: bytes, code: int) -> bytes:
    return bytes([0x90, 4]) + packet[:2] + bytes([0, code])


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

    async def admit(self, code: int = 1) -> None:
        await self.expect(CONNECT)
        self.writer.write(CONNACK)
        self.writer.write(suback(await self.expect(SUBSCRIBE), code))


Script = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(script: Script, *, optional: Sequence[tuple[str, int]] = ()) -> AsyncIterator[BrokerLink]:
    """Serve `script` to every connection; yields a link to it that does not run yet."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await script(Peer(reader, writer))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = client_settings(RunningBroker([], port, Path()), protocol="5")
        yield BrokerLink(
            settings, client_id="one", durable=True, subscriptions=[("a/#", 1)], optional=optional, queue_bound=10
        )


async def test_a_refused_subscription_is_the_status_reason_and_never_connected() -> None:
    attempts = 0

    async def refuse(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await peer.admit(0x87)
        await peer.packet()

    async with scripted(refuse) as link, started(link):
        await until(lambda: "a/#" in str(link.status.reason), what="the refused filter named")
        assert "Not authorized" in str(link.status.reason)
        await until(lambda: attempts == 2, what="asked again")
        assert link.status.generation == 0  # it was never up


async def test_a_refused_optional_subscription_is_done_without() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(suback(await peer.expect(SUBSCRIBE), 0x87))
        await peer.expect(DISCONNECT)

    async with scripted(refuse, optional=[("$SYS/#", 0)]) as link, linked(link):
        assert link.status.generation == 1, "up at once"


@pytest.mark.parametrize(
    "garbage",
    [
        bytes.fromhex("f0 00"),  # AUTH, unasked
        bytes.fromhex("30 01 00"),  # a PUBLISH too short for its topic
        bytes.fromhex("40 02 ff"),  # half a PUBACK, then nothing
        bytes.fromhex("30 ff ff ff ff ff 00"),  # a length of five bytes
        bytes.fromhex("32 05 00 01 61 00 01"),  # no property length
        bytes.fromhex("30 06 00 01 61 02 7f 00"),  # an unknown property
        bytes.fromhex("90 03 00 07 00"),  # an unexpected SUBACK
    ],
    ids=lambda garbage: garbage.hex(),
)
async def test_malformed_packets_cost_the_connection_and_nothing_else(garbage: bytes) -> None:
    attempts = 0

    async def babble(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await peer.admit()
        if attempts == 1:
            peer.writer.write(garbage)
            await peer.writer.drain()
            peer.writer.write_eof()
            return
        peer.writer.write(publish("a/b", b"good"))
        await peer.expect(DISCONNECT)

    async with scripted(babble) as link, started(link):
        (message,) = await receive(link, 1)
        assert message.payload == b"good"
        assert attempts == 2


async def test_a_topic_that_is_not_utf_8_arrives_as_one_that_no_rule_admits() -> None:
    async def mangle(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(bytes.fromhex("30 06 00 03 61 2f ff 00"))
        await peer.expect(DISCONNECT)

    async with scripted(mangle) as link, linked(link):
        (message,) = await receive(link, 1)
        assert message.topic == "a/\ufffd"


async def test_the_reason_of_a_session_takeover_is_reported() -> None:
    async def oust(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(bytes.fromhex("e0 02 8e 00"))
        await peer.writer.drain()

    async with scripted(oust) as link, started(link):
        await until(lambda: "taken over" in str(link.status.reason), what="the reason")


async def test_a_full_queue_leaves_the_socket_unread_and_the_link_alive() -> None:
    pings = 0
    sent = 2_000

    async def flood(peer: Peer) -> None:
        nonlocal pings
        await peer.admit()
        for number in range(sent):
            peer.writer.write(publish("a/b", b"%d" % number))  # QoS 0: only the socket can hold it back
        while True:
            kind, _ = await peer.packet()
            pings += kind == PINGREQ

    async with scripted(flood) as link, linked(link):
        await until(lambda: pings == 3, what="three unanswered pings")  # by two, the link would have been given up
        assert link.queued == 10
        assert link.status.connected
        messages = await receive(link, sent)
        assert [message.payload for message in messages] == [b"%d" % number for number in range(sent)]
        assert link.status.generation == 1


async def test_a_second_copy_within_the_session_is_settled_by_one_acknowledgement() -> None:
    acknowledged: list[int] = []

    async def repeat(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(publish("a/b", b"1", packet_id=7) + publish("a/b", b"1", packet_id=7, dup=True))
        while True:
            acknowledged.append(int.from_bytes((await peer.expect(PUBACK))[:2], "big"))
            if acknowledged == [7]:
                peer.writer.write(publish("a/b", b"2", packet_id=7))

    async with scripted(repeat) as link, linked(link):
        first, copy = await receive(link, 2)
        assert link.acknowledge([first]) == 1
        (new,) = await receive(link, 1)
        assert (
            link.acknowledge([copy]) == 0
        )  # its acknowledgement must not count for the new message with the same packet_id
        assert link.acknowledge([new]) == 1
        await until(lambda: acknowledged == [7, 7], what="acknowledged")


async def test_the_brokers_receive_maximum_bounds_what_is_unconfirmed() -> None:
    unconfirmed = 0
    most = 0

    async def narrow(peer: Peer) -> None:
        nonlocal unconfirmed, most
        await peer.expect(CONNECT)
        peer.writer.write(bytes.fromhex("20 06 00 00 03 21 00 05"))  # receive maximum 5
        peer.writer.write(suback(await peer.expect(SUBSCRIBE), 1))
        packet_ids: list[bytes] = []
        while True:
            body = await peer.expect(PUBLISH)
            name = int.from_bytes(body[:2], "big")
            packet_ids.append(body[2 + name : 4 + name])
            unconfirmed += 1
            most = max(most, unconfirmed)
            if unconfirmed == 5:
                unconfirmed = 0
                for packet_id in packet_ids:
                    peer.writer.write(bytes([0x40, 2]) + packet_id)
                packet_ids.clear()

    async with scripted(narrow) as link, linked(link):
        await link.publish_many([Publication(f"a/{number}", b"") for number in range(50)])
    assert most == 5


async def test_all_publishers_fail_when_the_broker_disconnects() -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.admit()
        await peer.expect(PUBLISH)

    async with scripted(hang_up) as link, linked(link):
        publishing = [asyncio.create_task(link.publish("a/b", b"")) for _ in range(300)]
        outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {BrokerUnavailable}
