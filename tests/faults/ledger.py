"""The loss ledger: what was said, acknowledged, journalled, published and delivered, held against one another."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bridge.adapters import plant_file
from bridge.adapters.journal import SqliteJournal
from bridge.core.replay import restore
from bridge.ingest.native import decode
from tests.brokers import until
from tests.faults.consumers import Consumer, Dashboard
from tests.faults.simulated_load import Report, SimulatedLoad
from tests.running_floor import DEMO_PLANT, RunningFloor

ALL = 10_000_000


@dataclass(frozen=True)
class Ledger:
    """One run's books, closed when the bridge has stopped.

    `wrong` names what does not add up; empty: nothing missing, doubled or invented anywhere.
    """

    counts: str
    repeats: int
    wrong: dict[str, list[object]]

    def __str__(self) -> str:
        wrong = ", ".join(f"{len(found)} {name}" for name, found in self.wrong.items())
        return f"{self.counts}; wrong: {wrong or 'nothing'}"


def is_taken_in(path: Path, report: Report) -> bool:
    """Look into the journal of a running bridge."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
        query = "SELECT EXISTS (SELECT * FROM inputs WHERE topic = ? AND payload = ?)"
        return bool(journal.execute(query, report).fetchone()[0])


async def close_books(floor: RunningFloor, load: SimulatedLoad, consumer: Consumer, dashboard: Dashboard) -> Ledger:
    """Wait until all is taken in, stop the bridge, replay its whole journal, and compare."""
    await until(lambda: is_taken_in(floor.journal, load.acknowledged[-1]), seconds=30, what="the last report")
    assert await floor.stop() == 0, floor.log()
    journal = SqliteJournal.open(floor.journal, stream="main")
    try:
        entries = [each for each in journal.inputs_after(0, limit=ALL) if each.input.topic]
        events = journal.events_after(0, limit=ALL)
        counters = journal.counters()
        numbers = journal.last_input()[0]
        journal._writer.execute("DELETE FROM checkpoints")
        restored = restore(plant_file.load(DEMO_PLANT), journal, decode=decode)
    finally:
        journal.close()
    await until(lambda: len(events) in consumer.offsets, what="a stop publishes all that is committed")
    taken = Counter(
        (each.input.topic, each.input.payload) for each in entries if each.disposition.reason != "duplicate"
    )
    published = [each for each in events if each.offset in consumer.offsets]
    # up to its last position: all that it may see up to there has been sent to it, or conflated
    lossless = [each for each in events[: dashboard.at] if each.lossless]
    delivered = [each for each in lossless if dashboard.delivered[each.id]]
    books: dict[str, list[object]] = {
        "missing": [each for each in load.acknowledged if taken[each] == 0],
        "doubled": [each for each, times in taken.items() if times > 1],
        "invented": [*(set(taken) - set(load.sent))],
        "holes": [*(set(range(1, len(events) + 1)) - {each.offset for each in events})],
        "unpublished": [each.offset for each in events if each.offset not in consumer.offsets],
        "undelivered": [each.id for each in lossless if not dashboard.delivered[each.id]],
        "delivered twice": [event_id for event_id, times in dashboard.delivered.items() if times > 1],
        "replayed differently": [*restored.first_differences],
        "unaccounted": [*range(sum(counters.values()), numbers)],
    }
    repeats = len(entries) - taken.total()
    counts = (
        f"sent {len(load.sent)}, acknowledged by the broker {len(load.acknowledged)}, journalled {len(entries)} "
        f"({repeats} of them repeats), events {len(events)}, published {len(published)}, "
        f"delivered {len(delivered)} of {len(lossless)} lossless"
    )
    return Ledger(counts, repeats, {name: found for name, found in books.items() if found})
