"""Events for a publisher, and a plain MQTT consumer of what it publishes."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bridge.domain.events import Event, EventType, Standing
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from tests.domain.test_publications import call
from tests.support.brokers import RunningBroker, client_settings, linked, until
from tests.support.journal_samples import event
from tests.support.retained_messages import expected, lit, retained

SUBJECTS = 30
CALLS = 10
EVENT = "floor/v1/event/"


class Workload:
    """A seeded life of subjects that open, move to another topic and close, and of calls that light a lamp."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._call = 0
        self._open: Event | None = None

    def next(self, count: int) -> list[Event]:
        return [self._next() for _ in range(count)]

    def _next(self) -> Event:
        if self._chance.random() < 0.2:
            return self._next_call()
        return event(
            f"s{self._chance.randrange(SUBJECTS)}",
            standing=self._chance.choice(list(Standing)),
            event_type=self._chance.choice([EventType.CHANGEOVER_STARTED, EventType.CHANGEOVER_COMPLETED]),
        )

    def _next_call(self) -> Event:
        if self._open is None:
            self._call += 1
            self._open = call(f"c{self._call}", "open")
            return self._open
        self._open = None
        return call(f"c{self._call}", "resolved", standing=Standing.CLOSED)


@dataclass
class Seen:
    """The offsets that a consumer got, in order, repetitions included."""

    offsets: list[int] = field(default_factory=list)

    async def all_up_to(self, offset: int) -> None:
        """Wait for it; fails where an event was missing before it, or came before its predecessor had come once."""
        await until(lambda: self.last >= offset, seconds=60, what=f"{offset} published, {self.last} is")
        assert self.news() == list(range(1, self.last + 1))

    @property
    def last(self) -> int:
        return max(self.offsets, default=0)

    def news(self) -> list[int]:
        """Return the offsets in the order in which they came for the first time."""
        return list(dict.fromkeys(self.offsets))


@contextlib.asynccontextmanager
async def consumer(broker: RunningBroker) -> AsyncIterator[Seen]:
    seen = Seen()
    link = BrokerLink(client_settings(broker), client_id="a-consumer", durable=False, subscriptions=[(f"{EVENT}#", 1)])

    async def listen() -> None:
        while True:
            messages = await link.receive(most=100)
            link.acknowledge(messages)
            seen.offsets += [json.loads(each.payload)["offset"] for each in messages if each.payload]

    async with linked(link):
        listening = asyncio.create_task(listen())
        try:
            yield seen
        finally:
            listening.cancel()
            await asyncio.wait([listening])


async def assert_true(broker: RunningBroker, journal: SqliteJournal) -> None:
    """Fail unless exactly what is current is retained, and lamps are lit for open calls only."""
    assert lit(await retained(broker)) == expected(journal.snapshot().events)
