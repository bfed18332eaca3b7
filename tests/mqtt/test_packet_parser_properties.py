"""The parser of a broker's packets against paho, which writes the packets and reads them too."""

import itertools
import socket
from dataclasses import dataclass
from typing import Any, Literal

import paho.mqtt.client as paho
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.mqtt.one_pass_reader import OnePassReader
from bridge.mqtt.packet_parser import MalformedPacket, PacketParser, ReceivedPublish

Protocol = Literal["5", "3.1.1"]
PROTOCOLS: dict[Protocol, MQTTProtocolVersion] = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}


@dataclass(frozen=True, slots=True)
class Sample:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    properties: dict[str, Any]


# paho refuses U+FEFF in properties, which MQTT 5 1.5.4 allows
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=30)
properties = st.fixed_dictionaries(
    {},
    optional={
        "PayloadFormatIndicator": st.integers(0, 1),
        "MessageExpiryInterval": st.integers(0, 2**32 - 1),
        "ContentType": texts,
        "ResponseTopic": texts,
        "CorrelationData": st.binary(max_size=30),
        "SubscriptionIdentifier": st.lists(st.integers(1, 268_435_455), min_size=1, max_size=3),
        "UserProperty": st.lists(st.tuples(texts, texts), min_size=1, max_size=3),
    },
)
samples = st.builds(
    Sample,
    topic=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    payload=st.one_of(st.binary(max_size=50), st.integers(100, 10_000).map(bytes)),
    qos=st.integers(0, 1),
    retain=st.booleans(),
    dup=st.booleans(),
    packet_id=st.integers(1, 65_535),
    properties=properties,
)
protocols = st.sampled_from(list(PROTOCOLS))
OTHERS = (  # PINGRESP, CONNACK, PUBACK, half a PUBACK, PUBREL, SUBACK, DISCONNECT
    "d0 00", "20 03 00 00 00", "40 02 00 01", "40 01 00", "62 02 00 01", "90 04 00 07 00 01", "e0 00",
)  # fmt: skip


def client(protocol: Protocol, sock: socket.socket) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, protocol=PROTOCOLS[protocol])
    made.on_socket_register_write = lambda *_: None  # keep what is written in its queue
    made.manual_ack_set(True)
    made._sock = sock  # noqa: SLF001 - otherwise it would need a broker to connect to
    return made


def written_by_paho(sample: Sample, protocol: Protocol) -> bytes:
    packed = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in sample.properties.items():
        setattr(packed, name, value)
    with socket.socket() as unused:
        writer = client(protocol, unused)
        writer._send_publish(  # noqa: SLF001 - as above
            sample.packet_id, sample.topic.encode(), sample.payload, sample.qos, sample.retain, sample.dup,
            properties=packed,
        )  # fmt: skip
        return bytes(writer._out_packet.pop()["packet"])  # noqa: SLF001 - as above


def read_by_paho(data: bytes, protocol: Protocol) -> tuple[list[ReceivedPublish], bool]:
    """Return the PUBLISHes of QoS 0 and 1 that paho reads by itself, and whether it kept the connection."""
    received: list[ReceivedPublish] = []

    def receive(_client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        topic = bytes(message._topic).decode("utf-8", "replace")  # noqa: SLF001 - the property only raises
        if message.qos < 2:
            received.append(
                ReceivedPublish(topic, bytes(message.payload), message.qos, message.retain, message.dup, message.mid)
            )

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(data)
        reader = client(protocol, ours)
        reader.on_message = receive
        for _ in range(len(data) + 1):
            if reader.loop_read() != paho.MQTT_ERR_SUCCESS:
                return received, False
    return received, True


def read_in_one_pass(pieces: list[bytes], protocol: Protocol) -> tuple[list[ReceivedPublish], bool]:
    """Return the PUBLISHes of QoS 0 and 1 that our reader reads, and whether it and paho kept the connection."""
    received: list[ReceivedPublish] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        made = client(protocol, ours)
        reader = OnePassReader(made, PacketParser(protocol=protocol), received.append)
        try:
            for piece in pieces:
                theirs.sendall(piece)
                reader.read()
                if made.socket() is None:
                    return received, False
        except MalformedPacket:
            return received, False
    return received, True


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


@settings(max_examples=300)
@given(st.lists(samples, min_size=1, max_size=4), protocols, st.lists(st.integers(0, 100_000), max_size=6))
def test_what_paho_writes_is_read_as_it_was_meant(sent: list[Sample], protocol: Protocol, places: list[int]) -> None:
    data = b"".join(written_by_paho(sample, protocol) for sample in sent)
    received, accepted = read_in_one_pass(cut(data, places), protocol)
    assert accepted
    assert received == [
        ReceivedPublish(
            sample.topic, sample.payload, sample.qos, sample.retain, sample.dup, sample.packet_id if sample.qos else 0
        )
        for sample in sent
    ]


@settings(max_examples=300)
@given(st.lists(samples | st.sampled_from(OTHERS).map(bytes.fromhex), max_size=6), protocols)
@example([Sample("a", b"1", 0, False, False, 0, {}), b"\xe0\0", Sample("a", b"2", 0, False, False, 0, {})], "5")
def test_between_other_packets_we_read_what_paho_reads(parts: list[Sample | bytes], protocol: Protocol) -> None:
    data = b"".join(part if isinstance(part, bytes) else written_by_paho(part, protocol) for part in parts)
    assert read_in_one_pass([data], protocol) == read_by_paho(data, protocol)


@settings(max_examples=600)
@given(samples, protocols, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=3))
@example(Sample("a", b"", 1, False, False, 1, {}), "5", [(0, 0xF0)])
def test_of_damaged_packets_we_read_no_more_than_paho_and_never_otherwise(
    sample: Sample, protocol: Protocol, damages: list[tuple[int, int]]
) -> None:
    damaged = bytearray(written_by_paho(sample, protocol))
    for place, value in damages:
        damaged[place % min(len(damaged), 400)] = value
    check_against_paho(bytes(damaged), protocol)


@settings(max_examples=300)
@given(st.binary(max_size=60), protocols)
def test_of_random_bytes_we_read_no_more_than_paho_and_never_otherwise(data: bytes, protocol: Protocol) -> None:
    check_against_paho(data, protocol)


def check_against_paho(data: bytes, protocol: Protocol) -> None:
    ours, accepted = read_in_one_pass([data], protocol)
    theirs, kept = read_by_paho(data, protocol)
    assert ours == theirs[: len(ours)]
    if accepted:
        assert kept
        assert ours == theirs
