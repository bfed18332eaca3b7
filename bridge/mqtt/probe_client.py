"""A client of the probe: short connections without retries, on which every refusal is an answer.

Some brokers answer a forbidden request by closing the connection. Then the next request opens another one.
"""

import asyncio
import contextlib
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Final

from bridge.domain.messages import Message, Publication
from bridge.mqtt.connection import BrokerConnection
from bridge.mqtt.link import UNSUPPORTED_PROTOCOL_VERSION
from bridge.mqtt.paho_client import ClientIdentity
from bridge.mqtt.tls import TlsFileError
from bridge.ports.broker import BrokerUnavailable, ConnectRefused, MqttVersion, SubscribeRefused, TopicRefused
from bridge.settings.broker import BrokerSettings

MAX_SEEN: Final = (
    100  # messages, unless told otherwise; who may read everything must not bring the plant's traffic here
)

Arrival = tuple[str, bytes]
"""Topic and payload of a message that arrived."""


class ProbeClient:
    """A client with the user of the settings. `received` holds what arrived of what is `wanted`.

    Every request raises `BrokerUnavailable` if the broker cannot be reached.
    """

    def __init__(
        self, settings: BrokerSettings, *, wanted: Callable[[str], bool] = lambda _: True, most: int = MAX_SEEN
    ) -> None:
        """Describe the client; `wanted` decides by the topic which messages count. It ends with `most` of them."""
        self.protocol: MqttVersion = "3.1.1" if settings.protocol == "3.1.1" else "5"
        who = "without a user name" if settings.username is None else f"as {settings.username}"
        self.user = f"{settings.host}:{settings.port} {who}"
        """Address of the broker and user name, for texts."""
        self.received: set[Arrival] = set()
        self._settings = settings
        self._client_id = f"floor-probe-{secrets.token_hex(4)}"  # not the running bridge's: it would take that over
        self._wanted = wanted
        self._most = most
        self._granted: list[tuple[str, int]] = []
        self._retained = True
        self._has_enough = False
        self._connection: BrokerConnection | None = None
        self._changed = asyncio.Event()

    async def open(self) -> str | None:
        """Connect; return None, or why the broker refuses."""
        try:
            await self._open()
        except ConnectRefused as refused:
            if self._settings.protocol != "auto" or self.protocol == "3.1.1":
                return refused.reason
            if refused.code not in (None, UNSUPPORTED_PROTOCOL_VERSION):
                return refused.reason
            self.protocol = "3.1.1"  # as `BrokerLink` does
            return await self.open()
        except TlsFileError as error:
            return str(error)
        return None

    async def subscribe(self, filters: Sequence[str], *, qos: int = 1, retained: bool = True) -> str | None:
        """Subscribe to all of `filters`; return None, or the refusal of the first that is refused.

        Without `retained`, MQTT 5 sends no retained messages.
        """
        if self._has_enough:
            return None
        self._retained = retained
        subscriptions = [(text, qos) for text in filters]
        connection = await self._require_connection()
        try:
            await connection.subscribe_all(subscriptions, retained=retained)
        except SubscribeRefused as refused:
            return str(refused)
        except BrokerUnavailable as gone:
            return self._answer(connection, gone)
        self._granted += subscriptions
        return None

    async def publish(self, topic: str, payload: bytes) -> str | None:
        """Publish with QoS 1; return None if the broker accepts it, which proves nothing, or its refusal."""
        connection = await self._require_connection()
        try:
            await (await connection.submit(Publication(topic, payload)))
        except TopicRefused as refused:
            return f"{refused.reason} (0x{refused.reason_code:02x})"
        except BrokerUnavailable as gone:
            return self._answer(connection, gone)
        return None

    async def missing(self, expected: Collection[Arrival], *, seconds: float) -> set[Arrival]:
        """Wait until all of `expected` has arrived, for `seconds` at most; return what has not.

        Raise `BrokerUnavailable` if the connection ends before.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.received.issuperset(expected):
                    if self._connection is None or self._connection.lost.done():
                        raise self._unavailable(self._lost_reason())
                    self._changed.clear()
                    await self._changed.wait()
        return set(expected) - self.received

    async def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            await self._connection.close()

    def abort(self) -> None:
        """End the connection at once."""
        if self._connection is not None:
            self._connection.abort("probe")

    async def _open(self) -> None:
        self.abort()
        self._connection = connection = BrokerConnection(
            self._settings,
            ClientIdentity(client_id=self._client_id, durable=False),
            protocol=self.protocol,
            will=None,
            generation=1,
            deliver=self._receive,
        )
        try:
            await connection.open()
        except ConnectRefused:
            raise
        except BrokerUnavailable as gone:
            raise self._unavailable(gone.reason) from None
        connection.lost.add_done_callback(lambda _: self._changed.set())

    async def _require_connection(self) -> BrokerConnection:
        """Return the connection; open another one, with the same subscriptions, if the broker closed the former."""
        if self._connection is None or self._connection.lost.done():
            await self._open()
            assert self._connection is not None
            try:
                if not self._has_enough:
                    await self._connection.subscribe_all(self._granted, retained=self._retained)
            except SubscribeRefused as refused:  # the rules have changed meanwhile
                raise BrokerUnavailable(str(refused)) from None
        assert self._connection is not None
        return self._connection

    def _receive(self, message: Message, connection: BrokerConnection) -> None:
        connection.acknowledge([message.pending_ack])
        if not self._wanted(message.topic):
            return
        self.received.add((message.topic, message.payload))
        self._changed.set()
        if len(self.received) >= self._most:
            self._has_enough = True
            asyncio.get_running_loop().call_soon(connection.abort, "enough")

    @staticmethod
    def _answer(connection: BrokerConnection, gone: BrokerUnavailable) -> str:
        """Return the end of a connection as the answer to a request; raise it if another client caused it."""
        if connection.taken_over:
            raise gone
        return gone.reason

    def _unavailable(self, reason: str) -> BrokerUnavailable:
        text = re.sub(r"^\[Errno -?\d+\] ", "", reason)
        return BrokerUnavailable(f"{self.user}: {text}")

    def _lost_reason(self) -> str:
        return "not connected" if self._connection is None else self._connection.lost.result()
