"""A publisher alone, on a journal that the test fills, and what a plain MQTT consumer has of it."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.adapters.clock import FloorClock
from bridge.domain.events import Event, EventType, Standing
from bridge.domain.stream_status import StreamOwner
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.mqtt.retained_reader import RetainedReader
from bridge.publisher.publisher import Publisher
from tests.domain.test_publications import call
from tests.support.brokers import RunningBroker, client_settings, linked, until
from tests.support.journal_samples import event, follow
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
class Outlet:
    link: BrokerLink
    journal: SqliteJournal
    publisher: Publisher
    publishing: asyncio.Task[None]

    def commit(self, events: Sequence[Event]) -> int:
        """Commit them, an input for each, as the pipeline does; returns the last offset."""
        batch = follow(self.journal, *([each] for each in events))
        self.journal.commit(batch)
        self.publisher.on_committed(batch.entries)
        return self.journal.position().offset

    async def marked(self, offset: int) -> None:
        await until(lambda: self.journal.published_offset() == offset, seconds=60, what=f"marked up to {offset}")


@contextlib.asynccontextmanager
async def outlet(broker: RunningBroker, path: Path, *, port: int | None = None) -> AsyncIterator[Outlet]:
    """Run a publisher; its link goes to `port` where the broker is not to be reached directly."""
    journal = SqliteJournal.open(path, stream="main")
    settings = client_settings(broker)
    through = settings.model_copy(update={"port": port or broker.port})
    link = BrokerLink(through, client_id="floor-main-publisher", durable=False)
    reader = RetainedReader(settings, client_id="floor-main-retained", username=None, password=None)
    publisher = Publisher(
        link,
        reader,
        journal,
        FloorClock(not_before=0),
        root="floor/v1",
        lines=frozenset({("north", "pack", "L1")}),
        simulated=False,
        owner=StreamOwner("outlet", 0),
        ready=lambda: True,
    )
    linking = asyncio.create_task(link.run())
    publishing = asyncio.create_task(publisher.run())
    try:
        yield Outlet(link, journal, publisher, publishing)
    finally:
        publisher.stop()
        linking.cancel()
        await asyncio.wait([linking])
        publishing.cancel()
        await asyncio.wait([publishing])
        journal.close()


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
