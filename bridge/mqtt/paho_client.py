"""A paho client on the running loop: connecting, reading, writing, and detection of a lost connection.

aiomqtt's own hooks miss an end before the CONNACK, wait out timeouts after a loss, and leave a cancelled connect open.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiomqtt
import paho.mqtt.client as paho
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.domain.messages import Will
from bridge.mqtt.keepalive import Keepalive
from bridge.mqtt.one_pass_reader import OnePassReader
from bridge.mqtt.packet_parser import MAX_PACKET_BYTES, MalformedPacket, PacketParser, ReceivedPublish
from bridge.mqtt.tls import tls_context
from bridge.ports.broker import BrokerUnavailable, ConnectRefused, MqttVersion
from bridge.settings.broker import BrokerSettings

ANSWER_SECONDS = 10.0  # for a CONNACK, a SUBACK or the next PUBACK: a broker that pings but never answers is lost
CLOSE_SECONDS = 2.0
WATCH_SECONDS = 0.25  # interval of checking keepalive and unanswered publications: two intervals fit in the 5 s of P5
PUBLISH_WINDOW = 100  # unconfirmed publications
MIN_PACKET_BYTES = 1024 * 1024  # an oversized report is quarantined, not hidden; above this it would only use memory
UNSPECIFIED_ERROR = 0x80
QUICK_ACKNOWLEDGEMENT: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux
SESSION_TAKEN_OVER = 0x8E

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """The session of a client: its client id, and whether the broker keeps it while the client is offline."""

    client_id: str
    durable: bool


class PahoClient(aiomqtt.Client):
    """A client for one connection. `lost` resolves to the reason when it ends; then its socket is closed too."""

    def __init__(
        self,
        settings: BrokerSettings,
        identity: ClientIdentity,
        *,
        protocol: MqttVersion,
        will: Will | None,
        receive: Callable[[ReceivedPublish], None],
    ) -> None:
        five = protocol == "5"
        clean = not identity.durable
        super().__init__(
            settings.host,
            settings.port,
            identifier=identity.client_id,
            username=settings.username,
            password=None if settings.password is None else settings.password.get_secret_value(),
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            # the library's default asks for a clean session at every connect
            clean_session=None if five else clean,
            clean_start=clean if five else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=_connect_properties(settings, identity) if five else None,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
            keepalive=settings.keepalive_seconds,
            timeout=ANSWER_SECONDS,
            max_inflight_messages=PUBLISH_WINDOW,
            tls_context=tls_context(settings),
            # a lone PUBLISH must not wait for the acknowledgement of the one before it (Nagle)
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._client.manual_ack_set(True)
        self._client.disable_logger()  # it formats a line per packet; the reason of a loss is in `lost`
        self.keepalive = Keepalive(self._client, settings.keepalive_seconds)
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.protocol = protocol
        self.session_present = False
        self.taken_over = False
        self._paused = False
        self._receive = receive
        self._reader: OnePassReader | None = None
        if settings.reader == "one-pass" and not settings.tls:
            # 3.1.1 announces no limit to the broker, so none may be enforced there
            limit = _max_packet_bytes(settings) if five else MAX_PACKET_BYTES
            parser = PacketParser(protocol=protocol, max_packet_bytes=limit)
            self._reader = OnePassReader(self._client, parser, receive)

    async def open(self) -> None:
        """Connect; on failure leave nothing open and raise `BrokerUnavailable`.

        It is a `ConnectRefused` if the broker answered the CONNECT or closed the connection.
        """
        try:
            await self.__aenter__()
        except aiomqtt.exceptions.MqttConnectError as error:
            code = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
            reason = str(error.rc) if isinstance(error.rc, ReasonCode) else str(error)
            raise ConnectRefused(reason, code=code) from None
        except aiomqtt.MqttError as error:
            raise BrokerUnavailable(str(error)) from None
        finally:
            # on failure aiomqtt replaces the failed future by a new one; on cancellation it leaves it pending
            if not self._connected.done() or self._connected.cancelled():
                self._connected.cancel()
                self.abort("not connected")

    # aiomqtt's signature
    async def _wait_for(self, fut: Awaitable[Answer], timeout: float | None) -> Answer:  # noqa: ASYNC109
        answer = await super()._wait_for(fut, timeout)
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # Python 3.11's wait_for swallows a cancel that meets the answer
            raise asyncio.CancelledError
        return answer

    async def close(self) -> None:
        """Send a DISCONNECT, so that the broker discards the Will; close anyway after `CLOSE_SECONDS`."""
        if not self.lost.done() and self._client.disconnect() == paho.MQTT_ERR_SUCCESS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await asyncio.shield(self.lost)
        self.abort("closed")

    def abort(self, reason: str) -> None:
        """Close the connection without a DISCONNECT, so that the broker publishes the Will."""
        self._set_lost(reason)
        self._client._sock_close()  # noqa: SLF001 - paho has no public way to close without a DISCONNECT

    def _set_lost(self, reason: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(reason)
        if not self._connected.done():
            # aiomqtt would wait out its timeout for a CONNACK that can no longer come
            self._connected.set_exception(ConnectRefused(reason, code=None))
        for answer in self._pending_subscribes.values():
            if not answer.done():
                answer.set_exception(BrokerUnavailable(reason))

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not reason_code.is_failure:
            self.session_present = bool(flags.session_present)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,  # noqa: ARG002 - paho's signature
        userdata: Any,  # noqa: ARG002 - paho's signature
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,  # noqa: ARG002 - paho's signature
    ) -> None:
        self.taken_over = flags.is_disconnect_packet_from_server and reason_code.value == SESSION_TAKEN_OVER
        # paho reports an end of the stream without a DISCONNECT from the broker as an unspecified error
        silent = not flags.is_disconnect_packet_from_server and reason_code.value == UNSPECIFIED_ERROR
        self._set_lost("connection closed" if silent else str(reason_code))

    # -- the socket -------------------------------------------------------------------------------------------------

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002 - paho's signature
        # runs in the executor's thread, which cannot be cancelled: the connection may have been aborted meanwhile
        self._loop.call_soon_threadsafe(self._attach_socket, sock)

    def _attach_socket(self, sock: socket.socket) -> None:
        if self.lost.done():
            self._client._sock_close()  # noqa: SLF001 - see abort
            return
        self._loop.add_reader(sock.fileno(), self._read)
        self._misc_task = self._loop.create_task(self._misc_loop(), name="broker-keepalive")

    def _read(self) -> None:
        try:
            while not self._paused:
                if self._reader is None:
                    self._client.loop_read()
                else:
                    self._reader.read()
                sock = self._client.socket()
                _request_quickack(sock)
                if not isinstance(sock, ssl.SSLSocket) or sock.pending() == 0:
                    return  # TLS may hold packets already decrypted, for which the socket never becomes readable
        except MalformedPacket as error:
            log.warning("broker.malformed_packet", host=self._hostname, port=self._port, reason=str(error))
            self.abort(f"malformed packet: {error}")
        except Exception:  # paho's parser may raise anything on a malformed packet
            log.exception("broker.malformed_packet", host=self._hostname, port=self._port)
            self.abort("malformed packet")

    # paho's signature
    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:  # noqa: ARG002
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = bytes(message._topic).decode("utf-8", "replace")  # noqa: SLF001 - the property only raises
        self._receive(
            ReceivedPublish(topic, bytes(message.payload), message.qos, message.retain, message.dup, message.mid)
        )

    def _send_pubacks(self, packet_ids: Sequence[int]) -> None:
        if self._reader is not None:
            self._reader.send_pubacks(packet_ids)
            return
        for packet_id in packet_ids:
            self._client.ack(packet_id, 1)

    # paho's signature
    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        self._loop.call_soon_threadsafe(self._add_writer, sock)

    def _add_writer(self, sock: socket.socket) -> None:
        if not self.lost.done() and sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except OSError as error:
            self.abort(str(error))
        except MemoryError:  # a packet is lost or half written: nothing may be sent after it
            self.abort("no memory")

    async def _misc_loop(self) -> None:
        while not self.lost.done():
            if (overdue := self.keepalive.check(reading=not self._paused)) is not None:
                self.abort(overdue)
            elif not self._paused and self._answer_overdue():
                self.abort(f"no answer within {ANSWER_SECONDS:g} s")
            await asyncio.sleep(WATCH_SECONDS)

    def _answer_overdue(self) -> bool:
        return False

    def pause(self) -> None:
        """Stop reading the socket, so that the broker queues messages in its own memory."""
        sock = self._client.socket()
        if self._paused or sock is None:
            return
        self._paused = True
        if self._reader is not None:
            self._reader.paused = True
        self._loop.remove_reader(sock.fileno())

    def resume(self) -> None:
        sock = self._client.socket()
        if not self._paused or sock is None:
            return
        self._paused = False
        if self._reader is not None:
            self._reader.paused = False
        self._loop.add_reader(sock.fileno(), self._read)
        self._loop.call_soon(self._read)  # what was read already does not make the socket readable


def _request_quickack(sock: object) -> None:
    """Make the kernel acknowledge at once what was read. Linux resets the option by itself: set it after each read.

    Mosquitto sends with Nagle's algorithm, so the second of two small packets waits for the TCP acknowledgement of the
    first. Linux delays that for 40 ms, which each pair of PUBACKs would cost the publisher.
    """
    if QUICK_ACKNOWLEDGEMENT is not None and isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):  # the socket was just closed
            sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACKNOWLEDGEMENT, 1)


def _connect_properties(settings: BrokerSettings, identity: ClientIdentity) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
    properties.SessionExpiryInterval = settings.session_expiry_seconds if identity.durable else 0
    properties.ReceiveMaximum = settings.receive_maximum
    properties.MaximumPacketSize = _max_packet_bytes(settings)
    return properties


def _max_packet_bytes(settings: BrokerSettings) -> int:
    return max(MIN_PACKET_BYTES, 4 * settings.max_payload_bytes)
