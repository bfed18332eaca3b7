"""Retained events and lamps after an old save of the broker, after a new journal, and under rules against an audit."""

import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bridge.mqtt.retained_reader import RetainedReader
from tests.publisher.audit_conditions import STALE, OldMemory, looked, of, retain, right
from tests.support.brokers import RunningBroker, mosquitto_with_acl, running, until
from tests.support.in_process import ROOT, RunningPipeline, device, in_process, publish_report
from tests.support.retained_messages import LAMP, event_topics, retained, until_retained
from tests.wiring.test_publishing import raise_call


async def resolve(client: aiomqtt.Client, pipeline: RunningPipeline) -> None:
    for action in ("acknowledge", "resolve"):
        await publish_report(client, "report/desk/andon", action=action, andon_type="material")
    await until(lambda: len(pipeline.events("andon_event")) == 3)
    last = pipeline.journal.position().offset
    await until(lambda: pipeline.journal.published_offset() >= last)


async def test_cleared_call_that_an_older_memory_brings_back_is_cleared_again(tmp_path: Path) -> None:
    """The bridge goes on meanwhile."""
    memory = OldMemory(tmp_path / "mosquitto")
    broker = memory.broker
    with running(broker):
        async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
            await until(lambda: pipeline.connected)
            async with device(broker.port) as client:
                await raise_call(client)
                await until_retained(broker, lambda found: found.get(LAMP) == b"open")
                await memory.remember()
                await resolve(client, pipeline)
                memory.come_back_with_it()
            found = await until_retained(broker, lambda found: event_topics(found) == right(pipeline.journal))
            assert found[LAMP] == b"off"
            assert pipeline.publisher.stale_cleared > 0


async def test_lamp_goes_out_though_both_bridge_and_broker_had_stopped(tmp_path: Path) -> None:
    """The bridge that starts again knows of no call, so only the broker can tell that a lamp is lit."""
    memory = OldMemory(tmp_path / "mosquitto")
    broker = memory.broker
    with running(broker):
        async with in_process(broker.port, tmp_path / "journal.db") as pipeline, device(broker.port) as client:
            await until(lambda: pipeline.connected)
            await raise_call(client)
            await until_retained(broker, lambda found: found.get(LAMP) == b"open")
            await memory.remember()
            await resolve(client, pipeline)
        memory.come_back_with_it()
        assert (await retained(broker))[LAMP] == b"open"
        async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
            await until_retained(
                broker, lambda found: found[LAMP] == b"off" and event_topics(found) == right(pipeline.journal)
            )


async def test_an_acl_that_forbids_the_audit_is_logged_and_the_rest_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = (f"topic read {ROOT}/report/#", f"topic write {ROOT}/#", f"topic readwrite {ROOT}/bridge/#")
    with running(mosquitto_with_acl(tmp_path / "mosquitto", *rules)) as broker:
        async with device(broker.port) as client:
            async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
                await until(lambda: pipeline.connected)
                await raise_call(client)
                await until(lambda: len(pipeline.events("andon_event")) == 1)
            async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
                await looked(pipeline.publisher)
                last = pipeline.journal.position().offset
                await until(lambda: pipeline.publisher.published >= last)
    assert "the broker did not return our retained messages" in capsys.readouterr().out


async def test_topic_that_becomes_current_while_it_is_read_is_not_cleared(
    mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit read it as stale; when it is decided, it is the line's status."""
    topic = "event/north/pack/L1/_/line/line_status_update/medium/_"
    pipelines: list[RunningPipeline] = []
    inner = RetainedReader.read

    async def slow(reader: RetainedReader, *args: Any, **kwargs: Any) -> None:
        await inner(reader, *args, **kwargs)
        async with device(mosquitto.port) as client:
            await publish_report(client, "report/bagger/state", state="running")
        await until(lambda: any(topic.endswith(event.topic.text) for event in pipelines[0].journal.snapshot().events))
        offset = pipelines[0].journal.position().offset
        await until(lambda: pipelines[0].publisher.published >= offset, what="published while it was read")

    monkeypatch.setattr(RetainedReader, "read", slow)
    await retain(mosquitto.port, {topic: of("main"), STALE: of("main")})
    async with in_process(mosquitto.port, tmp_path / "journal.db") as pipeline:
        pipelines.append(pipeline)
        await looked(pipeline.publisher)
        found = await retained(mosquitto)
        assert STALE not in found
        assert json.loads(found[topic])["epoch"] == pipeline.journal.epoch
        await until_retained(
            mosquitto, lambda found: event_topics(found) == right(pipeline.journal)
        )  # the next tick adds OEE


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
        await looked(pipeline.publisher)
        found = await until_retained(mosquitto, lambda found: event_topics(found) == right(pipeline.journal))
        assert found[LAMP] == b"off"
        assert before & event_topics(found), "what is current again has its topic again"
        assert {json.loads(found[topic])["epoch"] for topic in event_topics(found)} == {pipeline.journal.epoch}
