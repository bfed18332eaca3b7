"""A parser of the packets that a broker sends, in MQTT 5 and 3.1.1: many packets in one pass over what was read.

It is pure: bytes in, packets out. Only a PUBLISH of QoS 0 or 1 is parsed; other packets are returned as their bytes.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from bridge.ports.broker import MqttVersion

MAX_PACKET_BYTES: Final = 5 + 268_435_455  # MQTT 5 1.5.5: a remaining length has at most four bytes

_INVALID, _PUBLISH, _OTHER = range(3)
_KINDS: Final = bytearray(256)
"""First byte -> kind of packet: types that a broker sends, with the flags of MQTT 5 2.1.3."""
for _first in (0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, *range(0x30, 0x40)):
    _KINDS[_first] = _OTHER
for _first in (*range(0x30, 0x34), *range(0x38, 0x3C)):
    _KINDS[_first] = _PUBLISH
for _first in (0x36, 0x37, 0x3E, 0x3F):  # MQTT 5 3.3.1.2: a QoS of 3
    _KINDS[_first] = _INVALID

_BYTE, _FOUR_BYTES, _VARIABLE, _BINARY, _STRING, _PAIR = range(6)
_PROPERTIES: Final = {1: _BYTE, 2: _FOUR_BYTES, 3: _STRING, 8: _STRING, 9: _BINARY, 11: _VARIABLE, 38: _PAIR}
"""Properties of a PUBLISH (MQTT 5 3.3.2.3), except the topic alias: we announce none, so a broker must send none."""
_REPEATABLE: Final = {11, 38}


class MalformedPacket(Exception):
    """Bytes that are not a packet of a broker. Nothing after them can be read: the connection must be closed."""


class ReceivedPublish(msgspec.Struct, frozen=True, gc=False):
    """A PUBLISH of QoS 0 or 1. Its properties were checked, and are not kept."""

    topic: str  # invalid UTF-8 becomes U+FFFD
    payload: bytes
    qos: int
    retained: bool
    redelivered: bool  # the DUP flag
    packet_id: int  # 0 at QoS 0


class PacketParser:
    """Splits a connection's bytes into packets. It keeps what was read of a packet that is not complete.

    `max_packet_bytes` limits a packet, and so the memory: a larger one is malformed when its length is known.
    """

    def __init__(self, *, protocol: MqttVersion, max_packet_bytes: int = MAX_PACKET_BYTES) -> None:
        self._has_properties = protocol == "5"
        self._max_packet_bytes = max_packet_bytes
        self._buffer = b""
        self._position = 0
        self._partial = bytearray()  # an incomplete packet
        self._needed = 0  # bytes of it before parsing it again makes sense

    def feed(self, data: bytes) -> None:
        """Add bytes in the order in which they were read."""
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return
            data = bytes(self._partial)
            self._partial.clear()
        self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def packets(self) -> Iterator[ReceivedPublish | bytes]:
        """Return the complete packets that were not returned yet; raise `MalformedPacket` after those before it.

        It may be abandoned: the next call continues with the next packet.
        """
        buffer, end = self._buffer, len(self._buffer)
        start, needed = self._position, 2
        while end - start >= 2:
            kind = _KINDS[buffer[start]]
            if kind == _INVALID:
                raise MalformedPacket(f"a broker sends no packet that begins with 0x{buffer[start]:02x}")
            length, body = buffer[start + 1], start + 2
            if length & 0x80:
                if (decoded := _variable_byte_integer(buffer, start + 1, end)) is None:
                    needed = end - start + 1
                    break
                length, body = decoded
            stop = body + length
            if stop - start > self._max_packet_bytes:
                raise MalformedPacket(f"a packet of {stop - start} bytes, of at most {self._max_packet_bytes}")
            if stop > end:
                needed = stop - start
                break
            self._position = stop
            yield self._parse_publish(start, body, stop) if kind == _PUBLISH else buffer[start:stop]
            start = stop
        if start < end:
            self._partial += buffer[start:]
            self._needed = needed
        self._buffer, self._position = b"", 0

    def _parse_publish(self, start: int, at: int, stop: int) -> ReceivedPublish:
        buffer, first = self._buffer, self._buffer[start]
        topic_start = at + 2
        if topic_start > stop or (at := topic_start + (buffer[at] << 8 | buffer[at + 1])) > stop:
            raise MalformedPacket("a PUBLISH that ends within its topic")
        if at == topic_start:
            raise MalformedPacket("a PUBLISH without a topic")  # 3.1.1 4.7.3; in MQTT 5 it needs a topic alias
        try:
            topic = str(buffer[topic_start:at], "utf-8")
        except UnicodeDecodeError:
            topic = str(buffer[topic_start:at], "utf-8", "replace")
        packet_id = 0
        if first & 0x06:
            at += 2
            if at > stop:
                raise MalformedPacket("a PUBLISH that ends within its packet identifier")
            packet_id = buffer[at - 2] << 8 | buffer[at - 1]
            if packet_id == 0:
                raise MalformedPacket("a PUBLISH with the packet identifier 0")  # MQTT 5 2.2.1
        if self._has_properties:
            if at == stop:
                raise MalformedPacket("a PUBLISH without the length of its properties")
            at = at + 1 if buffer[at] == 0 else _check_properties(buffer, at, stop)
        return ReceivedPublish(
            topic, buffer[at:stop], 1 if packet_id else 0, first & 0x01 != 0, first & 0x08 != 0, packet_id
        )


def _variable_byte_integer(buffer: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Return the integer at `at` and the position after it, None if it is not complete; raise `MalformedPacket`."""
    value = 0
    for index in range(4):
        if at + index >= end:
            return None
        byte = buffer[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise MalformedPacket("a variable byte integer of more than four bytes")  # MQTT 5 1.5.5


def _check_properties(buffer: bytes, at: int, stop: int) -> int:
    """Return the position after the properties at `at`; raise `MalformedPacket`."""
    length, at = _integer_within(buffer, at, stop)
    end = at + length
    if end > stop:
        raise MalformedPacket(f"properties of {length} bytes in a PUBLISH that has {stop - at}")
    seen: set[int] = set()
    while at < end:
        identifier = buffer[at]
        kind = _PROPERTIES.get(identifier)
        if kind is None:
            raise MalformedPacket(f"property {identifier}, which is not allowed in this PUBLISH")
        if identifier in seen and identifier not in _REPEATABLE:
            raise MalformedPacket(f"property {identifier} twice")
        seen.add(identifier)
        at = _check_value(kind, buffer, at + 1, end)
    return end


def _check_value(kind: int, buffer: bytes, at: int, end: int) -> int:
    """Return the position after a property's value; raise `MalformedPacket`."""
    if kind == _BYTE:
        if at < end and buffer[at] > 1:  # MQTT 5 3.3.2.3.2: the only one is the payload format indicator
            raise MalformedPacket(f"a payload format indicator of {buffer[at]}")
        at += 1
    elif kind == _FOUR_BYTES:
        at += 4
    elif kind == _VARIABLE:
        value, at = _integer_within(buffer, at, end)
        if value == 0:  # MQTT 5 3.3.2.3.8: the only one is the subscription identifier
            raise MalformedPacket("a subscription identifier of 0")
    else:
        for _ in range(2 if kind == _PAIR else 1):
            at = _check_text(buffer, at, end, is_string=kind != _BINARY)
    if at > end:
        raise MalformedPacket("a property that ends after the properties")
    return at


def _check_text(buffer: bytes, at: int, end: int, *, is_string: bool) -> int:
    """Return the position after a value with a length of two bytes, of UTF-8 if it `is_string`."""
    start = at + 2
    if start > end or (stop := start + (buffer[at] << 8 | buffer[at + 1])) > end:
        raise MalformedPacket("a property that ends after the properties")
    if is_string:
        try:
            text = str(buffer[start:stop], "utf-8")
        except UnicodeDecodeError:
            raise MalformedPacket("a property that is not UTF-8") from None
        if "\0" in text:  # MQTT 5 1.5.4
            raise MalformedPacket("a property with a NUL character")
    return stop


def _integer_within(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    decoded = _variable_byte_integer(buffer, at, end)
    if decoded is None:
        raise MalformedPacket("a variable byte integer that ends after the packet")
    return decoded
