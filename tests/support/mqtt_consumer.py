"""A plain MQTT client that records messages, and reconnects whenever it is cut off."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from bridge.domain.messages import Message
from bridge.mqtt.link import BrokerLink
from tests.support.brokers import RunningBroker, client_settings, linked, until

ROOT = "floor/v1"


class MqttConsumer:
    """Received messages, in order of arrival."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []  # topics are relative to the root
        self.values: dict[str, bytes] = {}  # the last payload of each topic
        self.retained: set[str] = set()  # topics on which there was something when they were subscribed to
        self.events: list[dict[str, Any]] = []
        self.offsets: list[int] = []  # of `events`
        self.statuses: list[dict[str, Any]] = []  # live ones, of the stream
        self.lamps: list[str] = []

    def take(self, message: Message) -> None:
        topic = message.topic.removeprefix(f"{ROOT}/")
        self.messages.append((topic, message.payload))
        self.values[topic] = message.payload
        if message.retained:
            self.retained.add(topic)
        match topic.split("/"):
            case ["event", *_] if message.payload:
                self.events.append(json.loads(message.payload))
                self.offsets.append(self.events[-1]["offset"])
            case ["bridge", _] if not message.retained:
                self.statuses.append(json.loads(message.payload))
            case ["station", *_]:
                self.lamps.append(message.payload.decode())
            case _:
                pass

    @property
    def status(self) -> dict[str, Any]:
        """Return the stream's latest status; empty before there is one."""
        return self.statuses[-1] if self.statuses else {}

    @property
    def owners(self) -> set[str]:
        """Return who was online on the stream's topic."""
        return {status["owner"] for status in self.statuses if status["online"]}

    @property
    def last(self) -> int:
        return max(self.offsets, default=0)

    async def all_up_to(self, offset: int) -> None:
        """Wait for it; fails where an event was missing before it, or came before its predecessor had come once."""
        await until(lambda: self.last >= offset, seconds=60, what=f"{offset} published, {self.last} is")
        assert list(dict.fromkeys(self.offsets)) == list(range(1, self.last + 1))


@contextlib.asynccontextmanager
async def mqtt_consumer(broker: RunningBroker, *kinds: str) -> AsyncIterator[MqttConsumer]:
    """Subscribe to all below these levels of the root, by default to events."""
    consumer = MqttConsumer()
    async with consuming(broker, consumer.take, *kinds):
        yield consumer


@contextlib.asynccontextmanager
async def consuming(
    broker: RunningBroker, take: Callable[[Message], None], *kinds: str, durable: bool = False
) -> AsyncIterator[None]:
    """Give `take` every message below these levels of the root, by default events.

    `durable`: in a session that outlives a connection.
    """
    subscriptions = [(f"{ROOT}/{kind}/#", 1) for kind in kinds or ("event",)]
    link = BrokerLink(client_settings(broker), client_id="a-consumer", durable=durable, subscriptions=subscriptions)

    async def consume() -> None:
        while True:
            messages = await link.receive(most=100)
            for message in messages:
                take(message)
            link.acknowledge(messages)

    async with linked(link):
        task = asyncio.create_task(consume(), name="consumer")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
