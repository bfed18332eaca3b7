"""A reader of retained messages on its own connection: the broker does not resend them to an existing subscription."""

import asyncio
from collections.abc import Callable, Sequence

from bridge.domain.messages import Message
from bridge.mqtt.connection import BrokerConnection
from bridge.mqtt.paho_client import ClientIdentity
from bridge.mqtt.tls import TlsFileError
from bridge.ports.broker import BrokerUnavailable, MqttVersion
from bridge.settings.broker import BrokerSettings


class RetainedReader:
    """Reads retained messages once per call. A call takes over the connection of one that still runs."""

    def __init__(self, settings: BrokerSettings, *, client_id: str) -> None:
        self._settings = settings
        self._identity = ClientIdentity(client_id=client_id, durable=False)

    async def read(
        self, filters: Sequence[str], on_message: Callable[[Message], bool], *, protocol: MqttVersion
    ) -> None:
        """Subscribe in this order with QoS 1, and pass every message to `on_message` until it returns True.

        Raise `BrokerUnavailable` or `SubscribeRefused`; `on_message` must not raise. Each message is acknowledged as
        it is passed on and not kept, so the broker sends no more than its window at once.
        """
        done = asyncio.get_running_loop().create_future()

        def deliver(message: Message, connection: BrokerConnection) -> None:
            if done.done():
                return
            if on_message(message):
                done.set_result(None)
            connection.acknowledge([message.pending_ack])

        try:
            connection = BrokerConnection(
                self._settings, self._identity, protocol=protocol, will=None, generation=1, deliver=deliver
            )
        except TlsFileError as error:
            raise BrokerUnavailable(str(error)) from None
        try:
            await connection.open()
            await connection.subscribe_all([(topic_filter, 1) for topic_filter in filters])
            await asyncio.wait({done, connection.lost}, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise BrokerUnavailable(connection.lost.result())
            await connection.close()
        finally:
            connection.abort("read")
