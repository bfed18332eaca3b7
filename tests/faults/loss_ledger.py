"""The loss ledger: sent, acknowledged, journalled, published and delivered messages, compared."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from bridge.adapters import plant_file
from bridge.domain.records import CommittedEvent, JournalEntry, count_key
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from tests.faults.published_events import PublishedEvents
from tests.faults.resuming_subscriber import ResumingSubscriber
from tests.faults.simulated_load import SentReport
from tests.support import retained_messages
from tests.support.bridge_process import BridgeProcess
from tests.support.brokers import RunningBroker, until
from tests.support.journal_samples import forget_checkpoints

ALL = 10_000_000
REPEATS = ("duplicate", "duplicate_command")
Mismatches = dict[str, list[object]]


class DeviceLoad(Protocol):
    """Reports sent to the broker, and those that it acknowledged."""

    @property
    def sent(self) -> Sequence[SentReport]: ...

    @property
    def acknowledged(self) -> Sequence[SentReport]: ...


@dataclass(frozen=True)
class LossLedger:
    """The accounting of one run, closed when the bridge has stopped.

    `wrong` names what does not add up; empty: nothing missing, doubled or invented anywhere.
    """

    counts: Mapping[str, int]
    wrong: Mismatches
    journalled: "Journalled"

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        wrong = ", ".join(f"{len(entries)} {name}" for name, entries in self.wrong.items())
        return f"{counts}; wrong: {wrong or 'nothing'}"


@dataclass(frozen=True)
class Journalled:
    """Content of the journal of a stopped bridge."""

    entries: Sequence[JournalEntry]
    events: Sequence[CommittedEvent]
    current: Sequence[CommittedEvent]
    counters: Mapping[tuple[str, str, str], int]
    replayed_differently: Sequence[object]
    gaps: int  # reports that are missing in the sequences of their devices, as the replay counts them

    def messages(self) -> list[JournalEntry]:
        """Return the inputs that came from devices and users."""
        return [entry for entry in self.entries if entry.input.topic.startswith(("report/", "command/"))]


def is_taken_in(path: Path, report: SentReport) -> bool:
    """Return whether the journal of a running bridge holds this report."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
        query = "SELECT EXISTS (SELECT * FROM inputs WHERE topic = ? AND payload = ?)"
        return bool(journal.execute(query, report).fetchone()[0])


def last_number(path: Path) -> int:
    """Return the number of the last input in the journal of a running bridge."""
    return _meta(path, "last_number")


def last_offset(path: Path) -> int:
    """Return the last event offset in the journal of a running bridge."""
    return _meta(path, "last_offset")


def has_audited(log: str) -> bool:
    """Return whether the publisher has audited the broker's retained messages since it last connected."""
    return log.rfind("publisher.audited") > log.rfind("publisher.retained_republished")


def _meta(path: Path, column: str) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
        return int(journal.execute(f"SELECT {column} FROM meta").fetchone()[0])


def read_journal(path: Path, plant: Path) -> Journalled:
    """Read the whole journal, and hold its events against a replay from the beginning."""
    journal = SqliteJournal.open(path, stream="main")
    try:
        entries, events = journal.inputs_after(0, limit=ALL), journal.events_after(0, limit=ALL)
        current, counters = journal.snapshot().events, journal.counters()
        forget_checkpoints(journal.path)
        replayed = restore_floor(plant_file.load(plant), journal, decode=decode)
    finally:
        journal.close()
    gaps = sum(gap.missed - gap.filled for gap in replayed.floor.gaps_by_line().values())
    return Journalled(entries, events, current, counters, replayed.first_differences, gaps)


async def close_ledger(
    bridge: BridgeProcess,
    broker: RunningBroker,
    load: DeviceLoad,
    consumer: PublishedEvents,
    dashboard: ResumingSubscriber,
) -> LossLedger:
    """Wait until all is taken in, stop the bridge, replay its whole journal, and compare."""
    await until(lambda: is_taken_in(bridge.journal, load.acknowledged[-1]), seconds=30, what="the last report")
    committed = last_offset(bridge.journal)
    await until(lambda: dashboard.at >= committed, seconds=30, what="the dashboard has caught up")
    await until(lambda: has_audited(bridge.log()), seconds=30, what="the audit of retained messages")
    assert await bridge.stop() == 0, bridge.log()
    journalled = read_journal(bridge.journal, bridge.config.parent / "plant.toml")
    await until(
        lambda: len(journalled.events) in consumer.got,
        what=f"a stop publishes all {len(journalled.events)} events; {max(consumer.got, default=0)}",
    )
    retained = retained_messages.lit(await retained_messages.retained(broker))
    mismatches = {
        **of_intake(journalled, load),
        **of_accounting(journalled),
        **of_mqtt(journalled, consumer, retained),
        **of_dashboard(journalled, dashboard),
    }
    lossless = sum(event.is_lossless for event in journalled.events[: dashboard.at])
    counts = {
        "sent": len(load.sent),
        "acknowledged by the broker": len(load.acknowledged),
        "journalled": len(journalled.messages()),
        "of them repeats": sum(message.disposition.reason in REPEATS for message in journalled.messages()),
        "events": len(journalled.events),
        "published": len(consumer.got),
        "again": consumer.repeats,
        "lossless up to the dashboard's position": lossless,
        "resumed": dashboard.resumed,
        "retained": len(retained),
    }
    return LossLedger(counts, {name: wrong for name, wrong in mismatches.items() if wrong}, journalled)


def of_intake(journalled: Journalled, load: DeviceLoad) -> Mismatches:
    """Compare sent reports with the journal. Retained messages may repeat at every connection."""
    counts = Counter[SentReport]()
    received = set[SentReport]()
    for message in journalled.messages():
        report = (message.input.topic, message.input.payload)
        received.add(report)
        if not message.input.retained and message.disposition.reason not in REPEATS:
            counts[report] += 1
    return {
        "missing": [
            acknowledged_report for acknowledged_report in load.acknowledged if acknowledged_report not in received
        ],
        "doubled": [copied for copied, times in counts.items() if times > 1],
        "invented": [*(received - set(load.sent))],
    }


def of_accounting(journalled: Journalled) -> Mismatches:
    """Compare the journal with itself: accounting by kind, numbers and offsets without holes, replay."""
    counted = Counter(map(count_key, journalled.entries))
    numbers = [entry.input.number for entry in journalled.entries]
    offsets = [event.offset for event in journalled.events]
    return {
        "unaccounted": [
            key for key in counted.keys() | journalled.counters.keys() if counted[key] != journalled.counters.get(key)
        ],
        "holes in the inputs": [*(set(range(1, len(numbers) + 1)) ^ set(numbers))],
        "holes in the events": [*(set(range(1, len(offsets) + 1)) ^ set(offsets))],
        "replayed differently": [*journalled.replayed_differently],
    }


def of_mqtt(journalled: Journalled, consumer: PublishedEvents, retained: Mapping[str, bytes]) -> Mismatches:
    """Compare received and retained MQTT events: every event, in order, and exactly the current ones retained."""
    bodies = {event.offset: hash(event.body) for event in journalled.events}
    # what was found retained is not late when the publisher restores it: a broker that forgets may lose the news of it
    first_came = [offset for offset in consumer.got if offset not in consumer.beforehand]
    should = retained_messages.expected(journalled.current)
    return {
        "unpublished": [offset for offset in bodies if offset not in consumer.got],
        "published otherwise": [
            *consumer.differing,
            *(at for at, body in consumer.got.items() if bodies.get(at) != body),
        ],
        "published out of order": [b for a, b in pairwise(first_came) if b < a],
        "not retained": [topic for topic, body in should.items() if retained.get(topic) != body],
        "stale retained": [topic for topic in retained if topic not in should],
    }


def of_dashboard(journalled: Journalled, dashboard: ResumingSubscriber) -> Mismatches:
    """Compare what a dashboard received, up to its last position: lossless events once, of others the newest.

    Lossless events are owed from its first snapshot on, of which only what was current is in that.
    """
    bodies = {event.id: hash(event.body) for event in journalled.events}
    lossless = [event for event in journalled.events[dashboard.begun : dashboard.at] if event.is_lossless]
    newest = {event.state_key[2:]: event.offset for event in journalled.events}
    return {
        "undelivered": [event.id for event in lossless if not dashboard.delivered[event.id]],
        "delivered twice": [event_id for event_id, times in dashboard.delivered.items() if times > 1],
        "delivered otherwise": [
            delivered_id for delivered_id, body in dashboard.bodies.items() if bodies.get(delivered_id) != body
        ],
        "left behind": [
            key for key, offset in newest.items() if offset <= dashboard.at and dashboard.latest.get(key, 0) < offset
        ],
    }
