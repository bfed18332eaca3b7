"""Events for a publisher, and what has to be retained of them."""

import random

from bridge.domain.events import Event, EventType, Standing
from bridge.journal.sqlite.writer import SqliteJournal
from tests.domain.test_publications import call
from tests.support.brokers import RunningBroker
from tests.support.journal_samples import event
from tests.support.retained_messages import expected, lit, retained

SUBJECTS = 30
CALLS = 10


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


async def assert_true(broker: RunningBroker, journal: SqliteJournal) -> None:
    """Fail unless exactly the current events are retained, and lamps are lit for open calls only."""
    assert lit(await retained(broker)) == expected(journal.snapshot().events)
