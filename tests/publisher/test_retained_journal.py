"""Retained messages after a change of the journal: another one, or the same one after a change or a crash."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bridge.domain.event_topic import EventTopic
from bridge.domain.records import CommittedEvent
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools import backup as journal_backup
from bridge.journal.tools import restore as journal_restore
from bridge.mqtt.retained_reader import RetainedReader
from bridge.ports.journal import Batch, JournalUnavailable
from tests.domain.test_publications import call
from tests.faults.forked_bridge import Fork
from tests.publisher.audit_conditions import looked, right
from tests.publisher.test_publisher import LAMP, raise_call
from tests.publisher.workload import Workload, assert_true
from tests.support.bridge_process import bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.in_process import PUBLISHER, ROOT, device, in_process, publish_report
from tests.support.journal_samples import event, follow
from tests.support.retained_messages import event_topics, retained, until_retained


async def test_new_journal_clears_what_the_one_before_left(mosquitto: RunningBroker, tmp_path: Path) -> None:
    async with in_process(mosquitto.port, tmp_path / "old.db") as pipeline, device(mosquitto.port) as client:
        await until(lambda: pipeline.connected)
        await raise_call(client)
        await publish_report(client, "report/bagger/state", state="running")
        await until_retained(mosquitto, lambda found: found.get(LAMP) == b"open")
    before = event_topics(await retained(mosquitto))
    async with in_process(mosquitto.port, tmp_path / "new.db") as pipeline, device(mosquitto.port) as client:
        await publish_report(client, "report/bagger/state", state="running")  # on a topic that was retained before
        await until(lambda: len(pipeline.dispositions()) == 1)
        await looked(pipeline)
        found = await until_retained(mosquitto, lambda found: event_topics(found) == right(pipeline))
        assert found[LAMP] == b"off"
        assert before & event_topics(found), "what is current again has its topic again"
        assert {json.loads(found[topic])["epoch"] for topic in event_topics(found)} == {pipeline.journal.epoch}


async def test_bridge_killed_between_an_event_and_its_clear_leaves_no_stale_event(
    mosquitto: RunningBroker, tmp_path: Path
) -> None:
    fork = Fork()
    fork.crash_next("event out, not cleared", nth=1)
    station = f"{ROOT}/report/plant1/packing/L1/Andon-L1/andon"
    lamp = "station/plant1/packing/L1/Andon-L1/equipment"
    async with (
        bridge_process(tmp_path, mosquitto, launcher=fork) as bridge,
        aiomqtt.Client("127.0.0.1", mosquitto.port) as client,
    ):
        assert bridge.process is not None
        await client.publish(station, b'{"action": "raise", "andon_type": "equipment"}', qos=1)
        await until_retained(mosquitto, lambda found: found.get(lamp) == b"open")
        await client.publish(station, b'{"action": "resolve", "andon_type": "equipment"}', qos=1)
        assert await asyncio.wait_for(bridge.process.wait(), 20) == -signal.SIGKILL
        assert any("/andon/" in topic for topic in await retained(mosquitto)), "it died before the clear"
        await bridge.start()
        found = await until_retained(
            mosquitto,
            lambda found: found.get(lamp) == b"off" and not any("/andon/" in topic for topic in found),
        )
        assert event_topics(found)
        await bridge.stop()


async def test_journal_from_a_backup_clears_what_came_after_it(mosquitto: RunningBroker, tmp_path: Path) -> None:
    path, kept, workload = tmp_path / "journal.db", tmp_path / "backup.db", Workload(seed=21)
    async with in_process(mosquitto.port, path, parts=[PUBLISHER]) as pipeline:
        await pipeline.marked(pipeline.commit(workload.next(200)))
        journal_backup.back_up(path, kept)
        await pipeline.marked(pipeline.commit([*workload.next(200), event("only later"), call("late", "open")]))
    journal_restore.restore_journal(kept, path, replace=True)
    async with in_process(mosquitto.port, path, parts=[PUBLISHER]) as pipeline:
        await until(lambda: pipeline.publisher.audits > 0, what="looked")
        assert pipeline.publisher.stale_cleared > 1
        await assert_true(mosquitto, pipeline.journal)


@pytest.mark.parametrize("published", [True, False])
async def test_retained_events_of_removed_equipment_are_cleared(
    mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, published: bool
) -> None:
    """Also where it had not been published when the plant changed: it goes out late, and nothing will close it."""
    path = tmp_path / "journal.db"
    gone, stays = [event("gone"), call("gone", "open")], [event("stays")]
    if published:
        async with in_process(mosquitto.port, path, parts=[PUBLISHER]) as pipeline:
            await pipeline.marked(pipeline.commit([*gone, *stays]))
    else:
        with contextlib.closing(SqliteJournal.open(path, stream="main")) as journal:
            journal.commit(follow(journal, gone, stays))
    with contextlib.closing(SqliteJournal.open(path, stream="main")) as journal:
        journal.commit(Batch(entries=[], retired_keys=[EventTopic.from_event(each).state_key for each in gone]))
    publish_nothing_before_it_was_read(monkeypatch)
    async with in_process(mosquitto.port, path, parts=[PUBLISHER]) as pipeline:
        await until(lambda: pipeline.publisher.audits > 0, what="looked")
        found = await retained(mosquitto)
        assert {topic.split("/")[-1] for topic in found} == {"stays", "material"}
        assert found[LAMP] == b"off"
        await until(lambda: len(pipeline.journal.retained_topics()) == 1, what="and forgotten")


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
