"""A reader of a paho client's socket: large pieces, parsed in one pass, instead of paho's reads of single bytes."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.mqtt.packet_parser import PacketParser, ReceivedPublish

PIECE_BYTES: Final = 65_536  # a read of about 200 reports; longer ones would hold up the loop
PUBACK: Final = 0x40
PUBACK_OF_SUCCESS_BYTES: Final = 4  # MQTT 5 3.4.2.1: without a reason and properties, as in 3.1.1
_SUCCESS: Final = ReasonCode(PacketTypes.PUBACK)
_NO_PROPERTIES: Final = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]


class OnePassReader:
    """Passes each PUBLISH of QoS 0 and 1 to `deliver`, and every other packet to paho, in the order of arrival.

    A PUBACK of success is passed to paho without its bytes: paho reads them one by one, and builds properties.

    It is for plain TCP. `paused` stops it between two packets; what was read is kept for the next `read`.
    """

    def __init__(self, client: paho.Client, parser: PacketParser, deliver: Callable[[ReceivedPublish], None]) -> None:
        self.paused = False
        self._client = client
        self._parser = parser
        self._deliver = deliver
        self._packet = b""  # what paho has not read of the packet that it is given
        self._end: OSError | None = None  # why the socket cannot be read any more
        # paho has no public way to be given bytes; so it also handles the end of the stream, and malformed packets
        client._sock_recv = self._read_packet  # type: ignore[method-assign] # noqa: SLF001

    def read(self) -> None:
        """Handle what was kept at a pause, then one piece of what the socket holds; raise `MalformedPacket`."""
        self._handle_packets()
        sock = self._client.socket()
        if self.paused or sock is None:
            return
        try:
            data = sock.recv(PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end = error
            data = b""
        if not data:
            self._end = self._end or ConnectionError("end of stream")
            self._client.loop_read()
            return
        self._client._last_bytes_received = time.monotonic()  # noqa: SLF001 - postpones paho's keepalive
        self._parser.feed(data)
        self._handle_packets()

    def _handle_packets(self) -> None:
        if self.paused:
            return
        for packet in self._parser.packets():
            if isinstance(packet, ReceivedPublish):
                self._deliver(packet)
                if self.paused:
                    return
                continue
            if packet[0] == PUBACK and len(packet) == PUBACK_OF_SUCCESS_BYTES:
                self._take_puback(int.from_bytes(packet[2:]))
            else:
                self._packet = packet
                self._client.loop_read()
            if self._client.socket() is None:
                return

    def _take_puback(self, packet_id: int) -> None:
        """Do what paho does when it has read a PUBACK of success."""
        client = self._client
        if packet_id in client._out_messages:  # noqa: SLF001 - as in paho's `_handle_pubackcomp`
            result = client._do_on_publish(packet_id, _SUCCESS, _NO_PROPERTIES)  # noqa: SLF001
            if result != paho.MQTT_ERR_SUCCESS:
                client._loop_rc_handle(result)  # noqa: SLF001

    def _read_packet(self, bufsize: int) -> bytes:
        """Return the next bytes for paho, in place of its reading of the socket."""
        if self._end is not None:
            raise self._end
        if not self._packet:
            raise BlockingIOError
        data, self._packet = self._packet[:bufsize], self._packet[bufsize:]
        return data

    def send_pubacks(self, packet_ids: Sequence[int]) -> None:
        """Send PUBACKs of success in this order, in one write."""
        packets = b"".join(b"\x40\x02" + packet_id.to_bytes(2, "big") for packet_id in packet_ids)
        self._client._packet_queue(PUBACK, packets, 0, 1)  # noqa: SLF001 - `ack` writes each one separately
