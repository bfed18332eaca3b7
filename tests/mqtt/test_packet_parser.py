"""The parser of a broker's packets against hand-made bytes: valid, hostile, and split anywhere."""

import time
import tracemalloc
from typing import Literal

import pytest

from bridge.mqtt.packet_parser import MalformedPacket, PacketParser, ReceivedPublish

MIB = 1024 * 1024

FIVE = {
    "QoS 0": ("30 06 00 03 61 2f 62 00", ReceivedPublish("a/b", b"", 0, False, False, 0)),
    "QoS 1": ("32 0a 00 03 61 2f 62 01 02 00 68 69", ReceivedPublish("a/b", b"hi", 1, False, False, 258)),
    "retained": ("31 05 00 01 61 00 31", ReceivedPublish("a", b"1", 0, True, False, 0)),
    "again": ("3a 07 00 01 61 ff ff 00 31", ReceivedPublish("a", b"1", 1, False, True, 65535)),
    "long length": ("30 84 00 00 01 61 00", ReceivedPublish("a", b"", 0, False, False, 0)),
    "not UTF-8": ("30 06 00 03 61 2f ff 00", ReceivedPublish("a/\ufffd", b"", 0, False, False, 0)),
    "expiry": ("30 0a 00 01 61 05 02 00 00 00 3c 31", ReceivedPublish("a", b"1", 0, False, False, 0)),
    "subscriptions": ("30 0a 00 01 61 05 0b 01 0b 80 01 31", ReceivedPublish("a", b"1", 0, False, False, 0)),
    "users": (
        "30 12 00 01 61 0e 26 00 01 6b 00 01 76 26 00 01 6b 00 01 76", ReceivedPublish("a", b"", 0, False, False, 0)
    ),
    "data": ("30 09 00 01 61 05 09 00 02 ff 00", ReceivedPublish("a", b"", 0, False, False, 0)),
}  # fmt: skip
THREE = {
    "QoS 0": ("30 05 00 03 61 2f 62", ReceivedPublish("a/b", b"", 0, False, False, 0)),
    "QoS 1": ("32 08 00 03 61 2f 62 01 02 00", ReceivedPublish("a/b", b"\0", 1, False, False, 258)),
}
OTHERS = [
    "20 03 00 00 00", "40 02 00 01", "50 02 00 01", "62 02 00 01", "70 02 00 01", "90 03 00 01 00", "b0 02 00 01",
    "d0 00", "e0 00", "34 07 00 01 61 00 01 00 31",
]  # fmt: skip

MALFORMED = {
    "type 0": "00 00",
    "a CONNECT": "10 00",
    "a PINGREQ": "c0 00",
    "AUTH": "f0 00",
    "reserved flags of a PUBACK": "41 02 00 01",
    "reserved flags of a PUBREL": "60 02 00 01",
    "reserved flags of a PINGRESP": "d8 00",
    "QoS 3": "36 07 00 01 61 00 01 00 31",
    "length of five bytes": "30 ff ff ff ff 00",
    "length of five bytes, for a valid packet": "30 84 80 80 80 00 00 01 61 00",
    "length of five bytes, of a PUBACK": "40 80 80 80 80 01",
    "empty": "30 00",
    "half a topic length": "30 01 00",
    "topic longer than the packet": "30 04 00 03 61 62",
    "topic of 64 KiB": "30 04 ff ff 61 62",
    "no topic": "30 03 00 00 00",
    "no packet identifier": "32 03 00 01 61",
    "half a packet identifier": "32 04 00 01 61 01",
    "packet identifier 0": "32 06 00 01 61 00 00 00",
    "no property length": "32 05 00 01 61 00 01",
    "property length beyond the packet": "30 06 00 01 61 03 01 01",
    "huge property length": "30 08 00 01 61 ff ff ff 7f 31",
    "property length of five bytes": "30 08 00 01 61 80 80 80 80 00",
    "property length that does not end": "30 05 00 01 61 80 80",
    "unknown property": "30 06 00 01 61 02 7f 00",
    "property of a CONNACK": "30 07 00 01 61 03 21 00 05",
    "topic alias": "30 07 00 01 61 03 23 00 01",
    "topic alias instead of a topic": "30 06 00 00 03 23 00 01",
    "property twice": "30 08 00 01 61 04 01 01 01 01",
    "payload format 2": "30 06 00 01 61 02 01 02",
    "byte beyond the properties": "30 06 00 01 61 01 01 01",
    "four bytes beyond the properties": "30 0a 00 01 61 04 02 00 00 00 3c 31",
    "string beyond the properties": "30 0a 00 01 61 04 03 00 03 61 62 63",
    "half a string length": "30 06 00 01 61 02 03 00",
    "pair without a value": "30 08 00 01 61 04 26 00 01 6b",
    "string that is not UTF-8": "30 08 00 01 61 04 03 00 01 ff",
    "string with NUL": "30 08 00 01 61 04 03 00 01 00",
    "subscription 0": "30 06 00 01 61 02 0b 00",
    "subscription that does not end": "30 08 00 01 61 02 0b 80 00 00",
}


def parsed(parser: PacketParser, *pieces: bytes) -> list[ReceivedPublish | bytes]:
    packets: list[ReceivedPublish | bytes] = []
    for piece in pieces:
        parser.feed(piece)
        packets += parser.packets()
    return packets


@pytest.mark.parametrize("name", FIVE)
def test_a_publish_of_mqtt_5(name: str) -> None:
    packet, expected = FIVE[name]
    assert parsed(PacketParser(protocol="5"), bytes.fromhex(packet)) == [expected]


@pytest.mark.parametrize("name", THREE)
def test_a_publish_of_3_1_1(name: str) -> None:
    packet, expected = THREE[name]
    assert parsed(PacketParser(protocol="3.1.1"), bytes.fromhex(packet)) == [expected]


@pytest.mark.parametrize("packet", OTHERS)
def test_other_packets_are_returned_whole(packet: str) -> None:
    data = bytes.fromhex(packet)
    assert parsed(PacketParser(protocol="5"), data + data) == [data, data]


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_packets_are_refused_after_those_before_them(name: str) -> None:
    parser = PacketParser(protocol="5")
    parser.feed(bytes.fromhex("d0 00" + MALFORMED[name]))
    packets = parser.packets()
    assert next(packets) == bytes.fromhex("d0 00")
    with pytest.raises(MalformedPacket):
        next(packets)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_packet_is_refused_when_it_arrives_byte_by_byte(name: str) -> None:
    parser = PacketParser(protocol="5")
    with pytest.raises(MalformedPacket):
        parsed(parser, *(bytes([byte]) for byte in bytes.fromhex(MALFORMED[name])))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_packets_may_be_split_at_every_byte(protocol: Literal["5", "3.1.1"]) -> None:
    samples = list((FIVE if protocol == "5" else THREE).values())
    data = b"".join(bytes.fromhex(packet) + bytes.fromhex("d0 00") for packet, _ in samples)
    expected = [part for _, publish in samples for part in (publish, bytes.fromhex("d0 00"))]
    for first in range(len(data)):
        for second in range(first, len(data)):
            pieces = data[:first], data[first:second], data[second:]
            assert parsed(PacketParser(protocol=protocol), *pieces) == expected
    assert parsed(PacketParser(protocol=protocol), *(bytes([byte]) for byte in data)) == expected


def test_an_incomplete_packet_is_not_returned() -> None:
    for packet, _ in FIVE.values():
        data = bytes.fromhex(packet)
        for length in range(len(data)):
            assert parsed(PacketParser(protocol="5"), data[:length]) == []


def test_abandoned_packets_are_returned_by_the_next_call() -> None:
    parser = PacketParser(protocol="5")
    parser.feed(bytes.fromhex("d0 00 40 02 00 01 d0 00 40"))
    assert next(parser.packets()) == bytes.fromhex("d0 00")
    assert next(parser.packets()) == bytes.fromhex("40 02 00 01")
    parser.feed(bytes.fromhex("02 00 02"))
    assert list(parser.packets()) == [bytes.fromhex("d0 00"), bytes.fromhex("40 02 00 02")]


def test_a_packet_over_the_limit_is_refused_by_its_length_alone() -> None:
    within = bytes.fromhex("30 80 08") + bytes.fromhex("00 01 61 00") + bytes(1_020)  # 3 + 1,024 bytes
    assert len(parsed(PacketParser(protocol="5", max_packet_bytes=1_027), within)) == 1
    with pytest.raises(MalformedPacket, match="1027 bytes, of at most 1026"):
        parsed(PacketParser(protocol="5", max_packet_bytes=1_026), within[:3])


def test_an_announced_length_reserves_no_memory() -> None:
    parser = PacketParser(protocol="3.1.1")
    tracemalloc.start()
    try:
        assert parsed(parser, bytes.fromhex("30 ff ff ff 7f"), *([b"\0" * 1_000] * 100)) == []
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def seconds_to_parse(exponent: int) -> float:
    """Return the processor time for a packet of 2 ** exponent bytes in pieces of 64.

    The work for each piece outweighs that of the kernel, which gives memory to large objects a page at a time.
    """
    size = 1 << exponent
    length = bytes([0x83, 0x80, 1 << (exponent - 14)])  # MQTT 5 1.5.5: 3 + size, in digits of 7 bits
    data = b"\x30" + length + b"\0\1a" + bytes(size)
    pieces = [data[at : at + 64] for at in range(0, len(data), 64)]
    began = time.thread_time()
    (packet,) = parsed(PacketParser(protocol="3.1.1"), *pieces)
    seconds = time.thread_time() - began
    assert isinstance(packet, ReceivedPublish)
    assert len(packet.payload) == size
    return seconds


def test_a_packet_takes_time_proportional_to_its_size() -> None:
    small, large = (min(seconds_to_parse(exponent) for _ in range(3)) for exponent in (17, 20))
    assert large < 20 * small  # it would be 64 times as long, were each piece joined with all before it
