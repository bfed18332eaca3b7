"""A journal with rows in every table, and its content."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bridge.domain.dedup import digest_message
from bridge.domain.envelope import position_event
from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Standing
from bridge.domain.records import CONFIG_PREFIX, CommandRecord, JournalEntry, MessageDigest
from bridge.domain.reports import APPLIED, quarantined, suppressed
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter
from bridge.ports.journal import Batch, Journal
from tests.support.journal_samples import NOON, applied, event, follow

TOPIC = "report/plant/packing/bagger-1/plc/counts"


def fill(journal: Journal, *, rounds: int = 10) -> None:
    """Commit every kind of input in some rounds, and the publisher's marks."""
    for index in range(rounds):
        journal.commit(follow(journal, [event(f"s{index}"), event("same")], []))
        number, _ = journal.last_input()
        journal.commit(Batch(entries=_entries(journal, index, number), checkpoints={"bagger-1": b"state" * index}))
    journal.commit(follow(journal, [event("s1", standing=Standing.CLOSED)]))
    retained = EventTopic.from_event(event("s2"))
    journal.mark_published(journal.position().offset - 2, retained=[(retained.state_key, retained)])


def _entries(journal: Journal, index: int, number: int) -> Sequence[JournalEntry]:
    offset = journal.position().offset + 1
    committed = position_event(event("cmd"), stream=journal.stream, epoch=journal.epoch, offset=offset)
    command = CommandRecord(
        user="eva", command_id=f"c{index}", outcome="applied", reason=None, event_ids=(committed.id,), at=NOON
    )
    dated = b'{"ts": %d}' % index
    return [
        applied(number + 1, [committed], topic="command/plant/packing/bagger-1/_/andon", command=command),
        applied(
            number + 2,
            topic=TOPIC,
            payload=dated,
            resend=MessageDigest(digest_message(TOPIC, dated), has_timestamp=True),
        ),
        applied(number + 3, disposition=suppressed("duplicate"), payload=dated, reached_core=False),
        applied(number + 4, disposition=quarantined("syntax"), payload=b"{\x00\x1b[31m", reached_core=False),
        applied(number + 5, disposition=quarantined("unknown_place"), payload=b'{"state": "running"}'),
        applied(number + 6, topic=f"{CONFIG_PREFIX}plant", payload=b"name = '%d'" % index),
        applied(number + 7, topic="", payload=b"", disposition=APPLIED),
    ]


def full_journal(path: Path, *, rounds: int = 10) -> None:
    """Make a closed journal with something in every table, and two epochs."""
    journal = SqliteJournal.open(path, stream="main")
    fill(journal, rounds=rounds)
    journal.commit(Batch(entries=[], retired_keys=[EventTopic.from_event(event("s3")).state_key]))
    fill(journal, rounds=1)
    reader = SqliteQuarantineWriter.open(path, stream="main")
    reader.request_replays([6])
    reader.drop_payloads([15])
    reader.close()
    journal.close()


TABLES = (
    "meta",
    "epochs",
    "events",
    "inputs",
    "quarantine",
    "current_events",
    "checkpoints",
    "counters",
    "commands",
    "dedup_digests",
    "config",
    "retained_topics",
    "quarantine_decisions",
    "crash_digests",
    "hourly_positions",
)


def journal_rows(path: Path) -> Mapping[str, list[tuple[Any, ...]] | str]:
    """Return the content of a journal, table by table; SQLite's error where it is unreadable."""
    rows: dict[str, list[tuple[Any, ...]] | str] = {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as connection:
        for name in TABLES:
            try:
                rows[name] = sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                rows[name] = str(error)
    return rows
