"""The MQTT side of the loss ledger: every event that came to a durable consumer."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bridge.domain.messages import Message
from tests.support.brokers import RunningBroker
from tests.support.mqtt_consumer import consuming


@dataclass
class PublishedEvents:
    got: dict[int, int] = field(default_factory=dict)  # offset -> hash of its bytes; in the order they first came
    repeats: int = 0
    differing: list[int] = field(default_factory=list)  # offsets that came again with other bytes
    beforehand: set[int] = field(default_factory=set)  # offsets that were found retained before they came as news
    _retained: set[int] = field(default_factory=set)

    def take(self, message: Message) -> None:
        if not message.payload:
            return
        offset, content = json.loads(message.payload)["offset"], hash(message.payload)
        if message.retained:  # those come with every subscription, in any order
            self._retained.add(offset)
            return
        if offset not in self.got and offset in self._retained:
            self.beforehand.add(offset)
        if offset in self.got:
            self.repeats += 1
            if self.got[offset] != content:
                self.differing.append(offset)
        self.got[offset] = content


@contextlib.asynccontextmanager
async def published_events(broker: RunningBroker) -> AsyncIterator[PublishedEvents]:
    events = PublishedEvents()
    async with consuming(broker, events.take, durable=True):
        yield events
