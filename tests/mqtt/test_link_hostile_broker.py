"""The link against a scripted broker that refuses, sends garbage, stays silent or floods, over a real socket."""

import asyncio

import pytest

from bridge.domain.messages import Publication
from bridge.ports.broker import BrokerUnavailable
from tests.support.brokers import linked, receive, started, until
from tests.support.scripted_broker import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    Peer,
    Scripted,
    packet_id_of,
    puback,
    publish,
    scripted_link,
    suback,
)


async def test_a_refused_subscription_is_the_status_reason_and_never_connected(scripted: Scripted) -> None:
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


async def test_a_refused_optional_subscription_is_done_without(scripted: Scripted) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(suback(await peer.expect(SUBSCRIBE), 0x87))
        await peer.expect(DISCONNECT)

    async with scripted(refuse, optional=[("$SYS/#", 0)]) as link, linked(link):
        assert link.status.generation == 1, "up at once"


@pytest.mark.parametrize("codes", [b"", b"\1\1"], ids=["none", "two"])
async def test_a_suback_with_the_wrong_number_of_codes_costs_the_connection(scripted: Scripted, codes: bytes) -> None:
    attempts = 0

    async def miscount(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await peer.expect(CONNECT)
        peer.writer.write(CONNACK)
        packet_id = (await peer.expect(SUBSCRIBE))[:2]
        granted = codes if attempts == 1 else b"\1"
        peer.writer.write(bytes([0x90, 3 + len(granted)]) + packet_id + b"\0" + granted)
        await peer.packet()

    async with scripted(miscount) as link, started(link):
        await until(lambda: link.status.connected, what="connected at the second attempt")
    assert attempts == 2


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
async def test_malformed_packets_cost_the_connection_and_nothing_else(scripted: Scripted, garbage: bytes) -> None:
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


async def test_what_precedes_a_malformed_packet_is_received_and_its_fault_is_the_reason() -> None:
    async def babble(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(publish("a/b", b"before") + bytes.fromhex("f0 00"))
        await peer.packet()

    async with scripted_link(babble, reader="one-pass") as link, started(link):
        (message,) = await receive(link, 1)
        assert message.payload == b"before"
        await until(lambda: "begins with 0xf0" in str(link.status.reason), what="the reason")


async def test_packets_that_arrive_byte_by_byte_are_received(scripted: Scripted) -> None:
    async def trickle(peer: Peer) -> None:
        await peer.admit()
        for byte in publish("a/b", b"1", packet_id=7) + PINGRESP + publish("a/b", b"2"):
            peer.writer.write(bytes([byte]))
            await peer.writer.drain()
            await asyncio.sleep(0)
        await peer.expect(DISCONNECT)

    async with scripted(trickle) as link, linked(link):
        assert [message.payload for message in await receive(link, 2)] == [b"1", b"2"]


async def test_acknowledgements_of_a_batch_are_sent_in_order(scripted: Scripted) -> None:
    acknowledged: list[int] = []

    async def count(peer: Peer) -> None:
        await peer.admit()
        for number in range(1, 6):
            peer.writer.write(publish("a/b", b"", packet_id=number))
        while True:
            acknowledged.append(int.from_bytes((await peer.expect(PUBACK))[:2], "big"))

    async with scripted(count) as link, linked(link):
        messages = await receive(link, 5)
        assert link.acknowledge(messages[:3]) == 3
        assert link.acknowledge(messages) == 2
        await until(lambda: acknowledged == [1, 2, 3, 4, 5], what="acknowledged")


async def test_a_topic_that_is_not_utf_8_arrives_as_one_that_no_rule_admits(scripted: Scripted) -> None:
    async def mangle(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(bytes.fromhex("30 06 00 03 61 2f ff 00"))
        await peer.expect(DISCONNECT)

    async with scripted(mangle) as link, linked(link):
        (message,) = await receive(link, 1)
        assert message.topic == "a/\ufffd"


async def test_the_reason_of_a_session_takeover_is_reported(scripted: Scripted) -> None:
    async def oust(peer: Peer) -> None:
        await peer.admit()
        peer.writer.write(bytes.fromhex("e0 02 8e 00"))
        await peer.writer.drain()

    async with scripted(oust) as link, started(link):
        await until(lambda: "another client may use the client id" in str(link.status.reason), what="the reason")
        assert "taken over" in str(link.status.reason)
        assert link.status.taken_over


async def test_a_full_queue_leaves_the_socket_unread_and_the_link_alive(scripted: Scripted) -> None:
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


async def test_a_second_copy_within_the_session_is_settled_by_one_acknowledgement(scripted: Scripted) -> None:
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


async def test_a_packet_identifier_used_again_is_acknowledged_for_the_latest_message_only(scripted: Scripted) -> None:
    acknowledged: list[int] = []

    async def reuse(peer: Peer) -> None:
        await peer.admit()
        for packet_id in (7, 7, 8):
            peer.writer.write(publish("a/b", b"%d" % packet_id, packet_id=packet_id))
        while True:
            acknowledged.append(int.from_bytes((await peer.expect(PUBACK))[:2], "big"))

    async with scripted(reuse) as link, linked(link):
        assert link.acknowledge(await receive(link, 3)) == 2
        await until(lambda: acknowledged == [7, 8], what="acknowledged")


async def test_the_brokers_receive_maximum_bounds_what_is_unconfirmed(scripted: Scripted) -> None:
    unconfirmed = 0
    most = 0

    async def narrow(peer: Peer) -> None:
        nonlocal unconfirmed, most
        await peer.admit(connack=bytes.fromhex("20 06 00 00 03 21 00 05"))  # receive maximum 5
        packet_ids: list[bytes] = []
        while True:
            packet_ids.append(packet_id_of(await peer.expect(PUBLISH)))
            unconfirmed += 1
            most = max(most, unconfirmed)
            if unconfirmed == 5:
                unconfirmed = 0
                for packet_id in packet_ids:
                    peer.writer.write(puback(packet_id))
                packet_ids.clear()

    async with scripted(narrow) as link, linked(link):
        await link.publish_many([Publication(f"a/{number}", b"") for number in range(50)])
    assert most == 5


async def test_all_publishers_fail_when_the_broker_disconnects(scripted: Scripted) -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.admit()
        await peer.expect(PUBLISH)

    async with scripted(hang_up) as link, linked(link):
        publishing = [asyncio.create_task(link.publish("a/b", b"")) for _ in range(300)]
        outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {BrokerUnavailable}
