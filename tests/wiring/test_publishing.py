"""Publications of the journal as a plain MQTT consumer receives them, on a real broker."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt

from bridge.domain.messages import Publication
from bridge.mqtt.link import BrokerLink
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import (
    RunningBroker,
    client_settings,
    linked,
    mosquitto_broker,
    mosquitto_with_acl,
    running,
    until,
)
from tests.support.in_process import (
    CLIENT_IDS,
    PLACE,
    PUBLISHER,
    ROOT,
    RunningPipeline,
    device,
    in_process,
    publish_report,
)
from tests.support.mqtt_consumer import MqttConsumer, mqtt_consumer
from tests.support.retained_messages import LAMP, MARK, retained
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


async def published(pipeline: RunningPipeline, ready: Callable[[], bool]) -> None:
    """Wait until `ready`, and everything committed by then is published and marked."""
    await until(ready)
    offset = pipeline.journal.position().offset
    await until(lambda: pipeline.journal.published_offset() >= offset, what=f"published up to {offset}")


async def raise_call(client: aiomqtt.Client) -> None:
    await publish_report(client, "report/desk/andon", action="raise", andon_type="material")


@contextlib.asynccontextmanager
async def published_call(
    broker: RunningBroker, path: Path
) -> AsyncIterator[tuple[MqttConsumer, RunningPipeline, aiomqtt.Client]]:
    """Run a consumer, a pipeline that has published one call, and the station's client."""
    async with (
        mqtt_consumer(broker, "event", "station", "bridge") as consumer,
        in_process(broker.port, path) as pipeline,
        device(broker.port) as client,
    ):
        await until(lambda: pipeline.connected)
        await raise_call(client)
        await published(pipeline, lambda: len(pipeline.events("andon_event")) == 1)
        yield consumer, pipeline, client


async def test_report_becomes_an_event_on_mqtt(mosquitto: RunningBroker, path: Path) -> None:
    async with published_call(mosquitto, path) as (consumer, pipeline, _):
        journalled = pipeline.journal.events_after(0, limit=100)
        await until(lambda: len(consumer.events) >= len(journalled))
        assert consumer.events[: len(journalled)] == [json.loads(event.body) for event in journalled]
        assert consumer.lamps == ["open"]


async def test_closed_call_leaves_nothing_retained_and_the_lamp_off(mosquitto: RunningBroker, path: Path) -> None:
    async with published_call(mosquitto, path) as (consumer, pipeline, client):
        payloads = await retained(mosquitto)
        assert [topic for topic in payloads if "/andon/" in topic]
        assert payloads[LAMP] == b"open"
        for action in ("acknowledge", "resolve"):
            await publish_report(client, "report/desk/andon", action=action, andon_type="material")
        await published(pipeline, lambda: len(pipeline.events("andon_event")) == 3)
        await until(lambda: consumer.lamps == ["open", "acknowledged", "off"], what=f"lamps {consumer.lamps}")
        payloads = await retained(mosquitto)
        assert not [topic for topic in payloads if "/andon/" in topic or "/escalation/" in topic]
        assert payloads[LAMP] == b"off"


async def test_retained_events_are_the_current_ones(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await until(lambda: pipeline.connected)
        await raise_call(client)
        await publish_report(client, "report/bagger/state", state="running")
        for action in ("assign", "start", "complete"):
            more = {"product": "p", "target_quantity": 5} if action == "assign" else {}
            await publish_report(client, "report/bagger/job", action=action, job_id="J1", **more)
        for number in range(30):
            await publish_report(client, "report/bagger/counts", total=number)
        await until(lambda: len(pipeline.dispositions()) == 35)
    payloads = await retained(mosquitto)
    async with in_process(mosquitto.port, path) as pipeline:
        assert pipeline.journal.published_offset() == pipeline.journal.position().offset, (
            "an orderly stop publishes all"
        )
        current = {f"event/{event.topic}": event.body for event in pipeline.journal.snapshot().events}
    assert {topic: body for topic, body in payloads.items() if topic != LAMP} == current


async def test_broker_that_lost_its_memory_gets_it_back(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = mosquitto_broker(folder)
    with running(broker):
        async with in_process(broker.port, path) as pipeline, device(broker.port) as client:
            await until(lambda: pipeline.connected)
            await raise_call(client)
            await published(pipeline, lambda: len(pipeline.events("andon_event")) == 1)
            before = await retained(broker)
            with contextlib.suppress(aiomqtt.MqttError):
                broker.kill()
                for file in folder.glob("*.db"):
                    file.unlink()
                broker.start()
            lost = pipeline.outlet.status
            await until(
                lambda: pipeline.outlet.status.connected and pipeline.outlet.status.generation > lost.generation
            )
            after: dict[str, bytes] = {}
            async with asyncio.timeout(10):
                while after != before:
                    after = await retained(broker)
            assert len(pipeline.events("andon_event")) == 1


async def test_events_of_a_dead_time_come_in_order_afterwards(tmp_path: Path, path: Path) -> None:
    """The intake continues; the publisher waits for its broker and continues from its mark."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = mosquitto_broker(folder)
    with running(broker):
        async with in_process(broker.port, path) as pipeline:
            async with device(broker.port) as client:
                await until(lambda: pipeline.connected)
                await publish_report(client, "report/bagger/counts", total=0)
                for number in range(1, 50):
                    await publish_report(client, "report/bagger/counts", total=number)
                await published(pipeline, lambda: len(pipeline.dispositions()) == 50)
            broker.stop()
            await until(lambda: not pipeline.outlet.status.connected)
            offset = pipeline.journal.position().offset
            await until(lambda: pipeline.journal.position().offset > offset, what="a periodic event while it is away")
            assert pipeline.publisher.published <= offset
            broker.start()
            async with mqtt_consumer(broker, "event", "station", "bridge") as consumer:
                await until(lambda: pipeline.publisher.published > offset)
                await until(lambda: offset + 1 in consumer.offsets)
        new = [seen_offset for seen_offset in consumer.offsets if seen_offset > offset]
        assert new == list(range(offset + 1, offset + 1 + len(new)))


async def test_status_is_reported_and_retained(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        mqtt_consumer(mosquitto, "event", "station", "bridge") as consumer,
        in_process(mosquitto.port, path) as pipeline,
    ):
        await until(lambda: len(consumer.statuses) >= 2, what="two statuses")
        assert consumer.statuses[-1]["online"] is True
        assert consumer.statuses[-1]["epoch"] == pipeline.journal.epoch
        assert consumer.statuses[-1]["offset"] == pipeline.journal.position().offset
        goodbye = json.loads(pipeline.publisher.status(online=False).payload)
        assert goodbye["online"] is False


async def test_refused_publication_is_counted_and_blocks_nothing(tmp_path: Path, path: Path) -> None:
    writable = (f"{ROOT}/report/#", f"{ROOT}/station/#", MARK)
    rules = ["topic read #", *(f"topic write {topic_filter}" for topic_filter in writable)]
    with running(mosquitto_with_acl(tmp_path / "mosquitto", *rules)) as broker:
        async with in_process(broker.port, path) as pipeline, device(broker.port) as client:
            await until(lambda: pipeline.connected)
            await raise_call(client)
            await published(pipeline, lambda: len(pipeline.events("andon_event")) == 1)
            assert pipeline.publisher.refused > 0
            payloads = await retained(broker)
            assert payloads == {LAMP: b"open"}, "what is allowed is published all the same"


async def test_publisher_continues_from_its_mark(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await until(lambda: pipeline.connected)
        await raise_call(client)
        await published(pipeline, lambda: len(pipeline.events("andon_event")) == 1)
        mark = pipeline.journal.published_offset()
    async with mqtt_consumer(mosquitto, "event", "station", "bridge") as consumer:
        async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
            await until(lambda: pipeline.connected)
            assert pipeline.publisher.published >= mark
            await publish_report(client, "report/desk/andon", action="acknowledge", andon_type="material")
            await published(pipeline, lambda: len(pipeline.events("andon_event")) == 2)
            last = pipeline.journal.position().offset
            await until(lambda: last in consumer.offsets)
        assert next(offset for offset in consumer.offsets if offset > mark) == mark + 1


def publishing_through(way: TcpProxy) -> Callable[..., BrokerLink]:
    """Let the publisher's link go through a proxy, and the others not."""

    def make_client(settings: BrokerSettings, *, client_id: str, **options: Any) -> BrokerLink:
        port = way.port if client_id == CLIENT_IDS[PUBLISHER] else settings.port
        return BrokerLink(settings.model_copy(update={"port": port}), client_id=client_id, **options)

    return make_client


def assigned_and_cancelled(number: int) -> list[Publication]:
    fields: list[dict[str, object]] = [
        {"action": "assign", "job_id": f"J{number}", "product": "p", "target_quantity": 1},
        {"action": "cancel", "job_id": f"J{number}"},
    ]
    topic = f"{ROOT}/report/{PLACE}/bagger/job"
    return [Publication(topic, json.dumps(values).encode()) for values in fields]


async def test_intake_continues_while_the_publisher_is_cut_off(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        tcp_proxy(mosquitto.port) as way,
        mqtt_consumer(mosquitto) as consumer,
        in_process(mosquitto.port, path, make_client=publishing_through(way)) as pipeline,
        device(mosquitto.port) as client,
    ):
        await until(lambda: pipeline.outlet.status.connected)
        await publish_report(client, "report/bagger/counts", total=0)
        await until(lambda: len(consumer.offsets) > 0)
        way.refusing = True
        way.cut()
        async with linked(BrokerLink(client_settings(mosquitto), client_id="orders", durable=False)) as orders:
            await orders.publish_many([order for number in range(1_500) for order in assigned_and_cancelled(number)])
        await until(lambda: len(pipeline.dispositions()) == 3_001, seconds=60, what="journalled meanwhile")
        assert pipeline.link.status.generation == 1, "the intake noticed nothing"
        assert pipeline.journal.position().offset - pipeline.publisher.published >= 3_000
        way.refusing = False
        await consumer.all_up_to(pipeline.journal.position().offset)
