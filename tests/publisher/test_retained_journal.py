"""Retained messages after a change of the journal: another one, or the same one after a change or a crash."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.domain.event_topic import EventTopic
from bridge.domain.records import CommittedEvent
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools import backup as journal_backup
from bridge.journal.tools import restore as journal_restore
from bridge.mqtt.retained_reader import RetainedReader
from bridge.ports.journal import Batch, JournalUnavailable
from tests.domain.test_publications import call
from tests.publisher.publisher_run import run_publisher
from tests.publisher.workload import Workload, assert_true
from tests.support.brokers import RunningBroker, until
from tests.support.journal_samples import event, follow
from tests.support.retained_messages import LAMP, retained


async def test_journal_from_a_backup_clears_what_came_after_it(mosquitto: RunningBroker, tmp_path: Path) -> None:
    path, backup, workload = tmp_path / "journal.db", tmp_path / "backup.db", Workload(seed=21)
    async with run_publisher(mosquitto.port, path) as run:
        await run.marked(run.commit(workload.next(200)))
        journal_backup.back_up(path, backup)
        await run.marked(run.commit([*workload.next(200), event("only later"), call("late", "open")]))
    journal_restore.restore_journal(backup, path, replace=True)
    async with run_publisher(mosquitto.port, path) as run:
        await until(lambda: run.publisher.audits > 0, what="looked")
        assert run.publisher.stale_cleared > 1
        await assert_true(mosquitto, run.journal)


@pytest.mark.parametrize("published", [True, False])
async def test_retained_events_of_removed_equipment_are_cleared(
    mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, published: bool
) -> None:
    """Also where it had not been published when the plant changed: it goes out late, and nothing will close it."""
    path = tmp_path / "journal.db"
    removed, stays = [event("gone"), call("gone", "open")], [event("stays")]
    if published:
        async with run_publisher(mosquitto.port, path) as run:
            await run.marked(run.commit([*removed, *stays]))
    else:
        with contextlib.closing(SqliteJournal.open(path, stream="main")) as journal:
            journal.commit(follow(journal, removed, stays))
    with contextlib.closing(SqliteJournal.open(path, stream="main")) as journal:
        journal.commit(
            Batch(
                entries=[], retired_keys=[EventTopic.from_event(removed_event).state_key for removed_event in removed]
            )
        )
    publish_nothing_before_it_was_read(monkeypatch)
    async with run_publisher(mosquitto.port, path) as run:
        await until(lambda: run.publisher.audits > 0, what="looked")
        payloads = await retained(mosquitto)
        assert {topic.split("/")[-1] for topic in payloads} == {"stays", "material"}
        assert payloads[LAMP] == b"off"
        await until(lambda: len(run.journal.retained_topics()) == 1, what="and forgotten")


def publish_nothing_before_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read, events_after = RetainedReader.read, SqliteJournal.events_after
    done = asyncio.Event()

    async def noted(reader: RetainedReader, *args: Any, **kwargs: Any) -> None:
        await read(reader, *args, **kwargs)
        done.set()

    def late(journal: SqliteJournal, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        if not done.is_set():
            raise JournalUnavailable("unable to open database file")
        return events_after(journal, offset, limit=limit)

    monkeypatch.setattr(RetainedReader, "read", noted)
    monkeypatch.setattr(SqliteJournal, "events_after", late)
