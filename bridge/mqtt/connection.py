"""A connection to a broker, with manual acknowledgement and confirmed publications."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.domain.messages import Message, PendingAck, Publication, Will
from bridge.mqtt.packet_parser import ReceivedPublish
from bridge.mqtt.paho_client import ANSWER_SECONDS, PUBLISH_WINDOW, ClientIdentity, PahoClient
from bridge.ports.broker import BrokerUnavailable, MqttVersion, PublishRefused, SubscribeRefused
from bridge.settings.broker import BrokerSettings

PACKET_TOO_LARGE = 0x95


@dataclass(slots=True)
class _UnconfirmedPublication:
    confirmation: asyncio.Future[None]
    topic: str
    qos: int


@dataclass(slots=True)
class _UnackedPublish:
    """A PUBLISH that a PUBACK is owed for."""

    serial: int
    packet_id: int
    acknowledged: bool = False  # by us; its PUBACK waits for those before it
    superseded: bool = False  # the broker used its packet identifier for another message


class BrokerConnection(PahoClient):
    """A connection with manual acknowledgement, on which a refusal by the broker raises an error."""

    def __init__(
        self,
        settings: BrokerSettings,
        identity: ClientIdentity,
        *,
        protocol: MqttVersion,
        will: Will | None,
        generation: int,
        deliver: Callable[[Message, "BrokerConnection"], None],
    ) -> None:
        super().__init__(settings, identity, protocol=protocol, will=will, receive=self._receive_publish)
        self.generation = generation
        self._durable = identity.durable
        self._message_callback = deliver
        self._packet_limit: int | None = None
        self._window = asyncio.Semaphore(PUBLISH_WINDOW)
        self._unconfirmed: dict[int, _UnconfirmedPublication] = {}  # by packet identifier, in the order of sending
        self._oldest_since = 0.0  # the first of them is the oldest since then
        self._serial = 0
        self._unacked: deque[_UnackedPublish] = deque()  # by arrival
        self._unacked_by_id: dict[int, _UnackedPublish] = {}  # packet identifier -> the latest with it

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._packet_limit = getattr(properties, "MaximumPacketSize", None)
        # MQTT 5 3.2.2.3.3: the broker's receive maximum limits what we publish; paho ignores it
        self._window = asyncio.Semaphore(min(PUBLISH_WINDOW, getattr(properties, "ReceiveMaximum", PUBLISH_WINDOW)))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _set_lost(self, reason: str) -> None:
        super()._set_lost(reason)
        for unconfirmed in self._unconfirmed.values():
            if not unconfirmed.confirmation.done():
                unconfirmed.confirmation.set_exception(BrokerUnavailable(reason))
        self._unconfirmed.clear()

    # -- receiving --------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Resume reading. Restart the time limit of the next PUBACK: it may lie unread."""
        if self._paused:
            self._oldest_since = self._loop.time()
        super().resume()

    def _receive_publish(self, packet: ReceivedPublish) -> None:
        self._serial += 1
        if packet.qos == 1:
            self._track_unacked(packet.packet_id, redelivered=packet.redelivered)
        pending_ack = PendingAck(self.generation, self._serial, packet.packet_id, packet.qos)
        self._message_callback(
            Message(packet.topic, packet.payload, packet.qos, packet.retained, packet.redelivered, pending_ack), self
        )

    def _track_unacked(self, packet_id: int, *, redelivered: bool) -> None:
        earlier = self._unacked_by_id.get(packet_id)
        if earlier is not None:
            if redelivered:
                return  # NATS sends again within the session; acknowledging the first copy covers both
            earlier.superseded = True
        unacked = _UnackedPublish(self._serial, packet_id)
        self._unacked.append(unacked)
        self._unacked_by_id[packet_id] = unacked

    def acknowledge(self, pending_acks: Iterable[PendingAck]) -> int:
        """Mark these as acknowledged. Send PUBACKs up to the oldest unmarked message; return how many were sent."""
        for pending_ack in pending_acks:
            unacked = self._unacked_by_id.get(pending_ack.packet_id)
            if unacked and unacked.serial == pending_ack.serial and pending_ack.generation == self.generation:
                unacked.acknowledged = True
        packet_ids: list[int] = []
        # MQTT 5 4.6: PUBACKs are sent in the order in which the PUBLISHes arrived
        while self._unacked and not self.lost.done():
            unacked = self._unacked[0]
            if not (unacked.acknowledged or unacked.superseded):
                break
            self._unacked.popleft()
            if not unacked.superseded:
                del self._unacked_by_id[unacked.packet_id]
                packet_ids.append(unacked.packet_id)
        if packet_ids:
            self._send_pubacks(packet_ids)
        return len(packet_ids)

    async def subscribe_all(self, subscriptions: list[tuple[str, int]], *, retained: bool = True) -> None:
        """Subscribe; raise `SubscribeRefused` for the first filter that is not granted, or `BrokerUnavailable`.

        Without `retained`, a broker with MQTT 5 sends no retained messages.
        """
        if not subscriptions:
            return
        wanted: Any = subscriptions
        if self.protocol == "5":
            # MQTT 5 3.8.3.1: a resumed session is not sent retained messages again at every connect
            handling = (
                SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if self._durable else SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
            )
            if not retained:
                handling = SubscribeOptions.RETAIN_DO_NOT_SEND
            wanted = [(topic, SubscribeOptions(qos=qos, retainHandling=handling)) for topic, qos in subscriptions]
        try:
            codes: list[ReasonCode | int] = list(await self.subscribe(wanted))
        except aiomqtt.MqttError as error:
            raise BrokerUnavailable(str(error)) from None
        if len(codes) != len(subscriptions):
            raise BrokerUnavailable(
                f"protocol error: a SUBACK with {len(codes)} codes for {len(subscriptions)} filters"
            )
        for (topic, _), code in zip(subscriptions, codes, strict=True):
            value = code.value if isinstance(code, ReasonCode) else code
            if value >= 0x80:
                raise SubscribeRefused(topic, value, str(code))

    # -- publishing -------------------------------------------------------------------------------------------------

    async def submit(self, publication: Publication) -> asyncio.Future[None]:
        """Publish once the window has room; raise `BrokerUnavailable` if the connection is lost before that.

        The returned future resolves at the PUBACK, or raises `PublishRefused` or `BrokerUnavailable`.
        """
        confirmation: asyncio.Future[None] = self._loop.create_future()
        if self._packet_limit is not None and _packet_size(publication) > self._packet_limit:
            confirmation.set_exception(PublishRefused(publication.topic, PACKET_TOO_LARGE, "Packet too large"))
            return confirmation
        window = self._window
        await window.acquire()
        try:
            if self.lost.done():
                raise BrokerUnavailable(self.lost.result())  # noqa: TRY301 - every exit releases the window
            info = self._client.publish(publication.topic, publication.payload, publication.qos, publication.retain)
            if info.rc != paho.MQTT_ERR_SUCCESS:
                raise BrokerUnavailable(paho.error_string(info.rc))  # noqa: TRY301 - as above
        except BaseException:
            window.release()
            raise
        confirmation.add_done_callback(lambda _: window.release())
        if not self._unconfirmed:
            self._oldest_since = self._loop.time()
        self._unconfirmed[info.mid] = _UnconfirmedPublication(confirmation, publication.topic, publication.qos)
        return confirmation

    def _on_publish(
        self,
        client: paho.Client,  # noqa: ARG002 - paho's signature
        userdata: Any,  # noqa: ARG002 - paho's signature
        packet_id: int,
        reason_code: ReasonCode,
        properties: Properties,  # noqa: ARG002 - paho's signature
    ) -> None:
        if packet_id == next(iter(self._unconfirmed), None):
            self._oldest_since = self._loop.time()
        waiting = self._unconfirmed.pop(packet_id, None)
        if waiting is None:
            return
        if waiting.qos:
            self.keepalive.note_answer()
        if waiting.confirmation.done():
            return
        if reason_code.is_failure:
            waiting.confirmation.set_exception(PublishRefused(waiting.topic, reason_code.value, str(reason_code)))
        else:
            waiting.confirmation.set_result(None)

    def _answer_overdue(self) -> bool:
        """Return whether the next PUBACK is overdue. All of a window may take a slow broker or link much longer."""
        return bool(self._unconfirmed) and self._loop.time() - self._oldest_since > ANSWER_SECONDS


def _packet_size(publication: Publication) -> int:
    return len(publication.topic.encode()) + len(publication.payload) + 16  # headers; no properties are sent
