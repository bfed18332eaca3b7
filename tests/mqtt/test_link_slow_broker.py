"""The link against a broker that is idle, slow, or answers not everything: only its answers show that it lives."""

import asyncio
import contextlib

import pytest

from bridge.domain.messages import Publication
from bridge.mqtt import connection as connection_module
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerUnavailable
from tests.support.brokers import linked, started, until
from tests.support.scripted_broker import (
    CONNACK,
    DISCONNECT,
    PUBLISH,
    Peer,
    Scripted,
    packet_id_of,
    puback,
    publish,
)

PUBLICATIONS = 60
CONFIRM_SECONDS = 0.1  # from one to the next
IDLE_SECONDS = 7.0  # more than three times the keepalive
CONNACK_WITHOUT_KEEPALIVE = bytes.fromhex("20 06 00 00 03 13 00 00")  # a server keepalive of 0


@pytest.mark.parametrize("connack", [CONNACK, CONNACK_WITHOUT_KEEPALIVE], ids=["own", "server-none"])
async def test_an_idle_connection_lives(scripted: Scripted, connack: bytes) -> None:
    async def answer_pings(peer: Peer) -> None:
        await peer.admit(connack=connack)
        await peer.expect(DISCONNECT)

    async with scripted(answer_pings) as link, linked(link):
        await asyncio.sleep(IDLE_SECONDS)
        assert link.status.generation == 1


async def test_a_broker_that_confirms_slowly_is_not_lost(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads in order, so the answer to a PINGREQ waits for the publications before it: six seconds in all."""
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 2.0)

    async def confirm_slowly(peer: Peer) -> None:
        await peer.admit()
        while True:
            body = await peer.expect(PUBLISH)
            await asyncio.sleep(CONFIRM_SECONDS)
            peer.writer.write(puback(packet_id_of(body)))

    async with scripted(confirm_slowly) as link, linked(link):
        refused = await link.publish_many([Publication(f"a/{number}", b"") for number in range(PUBLICATIONS)])
        assert refused == []
        assert link.status.generation == 1


async def test_a_broker_that_leaves_one_publication_unconfirmed_is_lost(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 1.0)

    async def confirm_all_but_one(peer: Peer) -> None:
        await peer.admit()
        while True:
            body = await peer.expect(PUBLISH)
            if b"a/one" not in body:
                peer.writer.write(puback(packet_id_of(body)))

    async def publish_others(link: BrokerLink) -> None:
        while True:
            await link.publish("a/other", b"")
            await asyncio.sleep(0.01)

    async with scripted(confirm_all_but_one) as link, linked(link):
        others = asyncio.create_task(publish_others(link))
        with pytest.raises(BrokerUnavailable, match="no answer"):
            async with asyncio.timeout(30):
                await link.publish("a/one", b"")
        with pytest.raises(BrokerUnavailable, match="no answer"):
            await others


async def test_a_broker_that_sends_and_confirms_nothing_is_lost(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 2.0)

    async def confirm_nothing(peer: Peer) -> None:
        await peer.admit()
        await peer.expect(PUBLISH)
        sending = asyncio.create_task(_send(peer))
        try:
            await peer.expect(DISCONNECT)  # and answer each PINGREQ
        finally:
            sending.cancel()

    async with scripted(confirm_nothing) as link, linked(link):
        acknowledging = asyncio.create_task(_acknowledge(link))
        with pytest.raises(BrokerUnavailable, match="no answer"):
            async with asyncio.timeout(30):
                await link.publish("a/one", b"")
        acknowledging.cancel()


async def _send(peer: Peer) -> None:
    while True:
        peer.writer.write(publish("a/b", b"1", packet_id=7))
        await asyncio.sleep(0.2)


async def test_a_broker_that_sends_but_no_longer_receives_is_lost(scripted: Scripted) -> None:
    """Its messages show that one direction works. We publish nothing, so only a PINGREQ asks for an answer."""

    over = asyncio.Event()

    async def send_only(peer: Peer) -> None:
        await peer.admit()
        while not over.is_set():
            peer.writer.write(publish("a/b", b"1", packet_id=7))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.05)

    async with scripted(send_only) as link, started(link):
        await until(lambda: link.status.connected, what="connected")
        acknowledging = asyncio.create_task(_acknowledge(link))
        async with asyncio.timeout(30):
            ended = await link.wait_status_change(link.status)
        acknowledging.cancel()
        over.set()
        assert "no answer to a ping" in str(ended.reason)


async def _acknowledge(link: BrokerLink) -> None:
    while True:
        link.acknowledge(await link.receive(most=1))
