"""Every event is published, in order, through failures of the broker connection and of the disk."""

import asyncio
import random
import signal
import tracemalloc
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.ports.journal import CommitFailed, JournalUnavailable
from bridge.publisher import publisher as publisher_module
from bridge.settings import BrokerSettings
from bridge.wiring.pipeline_side import DRAIN_SECONDS
from tests.publisher.workload import Workload, assert_true
from tests.support.brokers import RunningBroker, free_port, mosquitto_broker, running, until
from tests.support.in_process import CLIENT_IDS, PUBLISHER, device, in_process, publish_report
from tests.support.mqtt_consumer import mqtt_consumer
from tests.support.tcp_proxy import ConnectionEnd, Cut, TcpProxy, tcp_proxy

CUTS = 8
FROM_US = 0.7  # of the cuts are of what we send
P = ParamSpec("P")
T = TypeVar("T")
WITH_RULES = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
acl_file {folder}/acl
max_queued_messages 100000
log_dest stderr
"""


def publishing_through(proxy: TcpProxy) -> Callable[..., BrokerLink]:
    """Let the publisher's link go through a proxy, and the others not."""

    def make_client(settings: BrokerSettings, *, client_id: str, **options: Any) -> BrokerLink:
        port = proxy.port if client_id == CLIENT_IDS[PUBLISHER] else settings.port
        return BrokerLink(settings.model_copy(update={"port": port}), client_id=client_id, **options)

    return make_client


async def test_intake_continues_while_the_publisher_is_cut_off(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        tcp_proxy(mosquitto.port) as proxy,
        mqtt_consumer(mosquitto) as consumer,
        in_process(mosquitto.port, path, make_client=publishing_through(proxy)) as pipeline,
        device(mosquitto.port) as client,
    ):
        await until(lambda: pipeline.outlet.status.connected)
        await publish_report(client, "report/bagger/counts", total=0)
        await until(lambda: len(consumer.offsets) > 0)
        proxy.refusing = True
        proxy.cut()
        for number in range(1_500):
            order: dict[str, object] = {"job_id": f"J{number}", "product": "p", "target_quantity": 1}
            await publish_report(client, "report/bagger/job", action="assign", **order)
            await publish_report(client, "report/bagger/job", action="cancel", job_id=f"J{number}")
        await until(lambda: len(pipeline.dispositions()) == 3_001, seconds=60, what="journalled meanwhile")
        assert pipeline.link.status.generation == 1, "the intake noticed nothing"
        assert pipeline.journal.position().offset - pipeline.publisher.published >= 3_000
        proxy.refusing = False
        await consumer.all_up_to(pipeline.journal.position().offset)


async def test_cut_at_any_byte_nothing_is_missing_and_the_order_holds(mosquitto: RunningBroker, path: Path) -> None:
    chance = random.Random(3)
    async with (
        tcp_proxy(mosquitto.port) as proxy,
        mqtt_consumer(mosquitto) as consumer,
        in_process(proxy.port, path, parts=[PUBLISHER]) as pipeline,
    ):
        for _ in range(CUTS):
            after, end = chance.randrange(30_000), chance.choice(list(ConnectionEnd))
            proxy.plan_cut(Cut(after, end, from_client=chance.random() < FROM_US))
        workload, last = Workload(seed=5), 0
        while proxy.connections <= CUTS:
            last = pipeline.commit(workload.next(100))
            cuts = proxy.connections
            await until(lambda: pipeline.publisher.published == last or proxy.connections > cuts, seconds=30)  # noqa: B023 - asked before the next round
        await pipeline.marked(last)
        await consumer.all_up_to(last)
        assert len(consumer.offsets) > last, "some came twice: it was cut while it published"
        for before, offset in zip([0, *accumulate(consumer.offsets, max)], consumer.offsets, strict=False):
            assert offset <= before + 1, "what is repeated may go back; nothing jumps ahead"
        await until(lambda: pipeline.publisher.audits > 0, what="looked")
        await assert_true(mosquitto, pipeline.journal)


@pytest.mark.faults
async def test_backlog_of_any_length_takes_the_same_memory(mosquitto: RunningBroker, tmp_path: Path) -> None:
    peaks, workload = [], Workload(seed=7)
    for number, count in enumerate((500, 4_000)):
        async with in_process(free_port(), tmp_path / f"{number}.db", parts=[PUBLISHER]) as offline:
            for _ in range(count // 100):
                offline.commit(workload.next(100))
            last = offline.journal.position().offset
        tracemalloc.start()
        try:
            async with in_process(mosquitto.port, tmp_path / f"{number}.db", parts=[PUBLISHER]) as pipeline:
                await pipeline.marked(last)
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


async def test_refused_topics_are_left_out_and_the_others_come_once_in_order(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    rules = [
        f"topic {rule}" for rule in ("read #", "write floor/v1/bridge/#", "write floor/v1/station/#", "write a-mark/#")
    ]
    rules.append("topic write floor/v1/event/+/+/+/+/+/changeover_started/#")
    (folder / "acl").write_text("\n".join(rules) + "\n")
    with running(mosquitto_broker(folder, conf=WITH_RULES)) as broker:
        async with mqtt_consumer(broker) as consumer, in_process(broker.port, path, parts=[PUBLISHER]) as pipeline:
            last = pipeline.commit(Workload(seed=9).next(400))
            await pipeline.marked(last)
            allowed = [e.offset for e in pipeline.journal.events_after(0, limit=400) if e.type == "changeover_started"]
            await until(lambda: consumer.last == allowed[-1])
            assert consumer.offsets == allowed
            assert pipeline.publisher.refused > 0


async def test_mark_that_fails_for_long_holds_up_nothing(
    mosquitto: RunningBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full; events published without a mark are published again after the restart."""
    monkeypatch.setattr(publisher_module, "RETRY_SECONDS", 0.01)
    tries = 0

    def full(*_: object, **__: object) -> None:
        nonlocal tries
        tries += 1
        raise CommitFailed("database or disk is full")

    async with mqtt_consumer(mosquitto) as consumer:
        with monkeypatch.context() as failing:
            failing.setattr(SqliteJournal, "mark_published", full)
            async with in_process(mosquitto.port, path, parts=[PUBLISHER]) as pipeline:
                last = pipeline.commit(Workload(seed=11).next(500))
                await consumer.all_up_to(last)
                await until(lambda: tries > 3, what="tried again")
                pipeline.publisher.stop()
                await asyncio.wait_for(pipeline.publishing, 5)
                assert pipeline.journal.published_offset() == 0
        consumer.offsets.clear()
        async with in_process(mosquitto.port, path, parts=[PUBLISHER]) as pipeline:
            await pipeline.marked(last)
            await consumer.all_up_to(last)
            await until(lambda: pipeline.publisher.audits > 0, what="looked")
            await assert_true(mosquitto, pipeline.journal)


async def test_journal_that_cannot_be_read_for_a_while_is_asked_again(
    mosquitto: RunningBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "RETRY_SECONDS", 0.01)
    chance = random.Random(13)
    for name in ("events_after", "snapshot", "retained_topics"):
        monkeypatch.setattr(SqliteJournal, name, unreliable(getattr(SqliteJournal, name), chance))
    async with mqtt_consumer(mosquitto) as consumer, in_process(mosquitto.port, path, parts=[PUBLISHER]) as pipeline:
        last = pipeline.commit(Workload(seed=13).next(1_000))
        await pipeline.marked(last)
        await consumer.all_up_to(last)
        await until(lambda: pipeline.publisher.audits > 0, what="looked")


def unreliable(inner: Callable[P, T], chance: random.Random) -> Callable[P, T]:
    def read(*args: P.args, **kwargs: P.kwargs) -> T:
        if chance.random() < 0.5:
            raise JournalUnavailable("unable to open database file")
        return inner(*args, **kwargs)

    return read


@pytest.mark.parametrize("outage", ["gone", pytest.param("frozen", marks=pytest.mark.faults)])
async def test_stop_in_an_outage_ends_and_the_next_start_continues(tmp_path: Path, path: Path, outage: str) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = mosquitto_broker(folder)
    with running(broker):
        async with in_process(broker.port, path, parts=[PUBLISHER]) as pipeline:
            last = pipeline.commit(Workload(seed=15).next(50))
            await pipeline.marked(last)
            broker.send(signal.SIGSTOP)
            if outage == "gone":
                broker.kill()
                await until(lambda: not pipeline.outlet.status.connected)
            last = pipeline.commit(Workload(seed=17).next(500))
            pipeline.publisher.stop()
            await asyncio.wait([pipeline.publishing], timeout=DRAIN_SECONDS)
            assert pipeline.publishing.done() or outage == "frozen", "only a frozen broker is waited for"
            assert pipeline.publisher.published == 50
        if outage == "gone":
            broker.start()
        else:
            broker.send(signal.SIGCONT)
        async with mqtt_consumer(broker) as consumer, in_process(broker.port, path, parts=[PUBLISHER]) as pipeline:
            await pipeline.marked(last)
            await until(lambda: consumer.last == last)
            assert set(range(51, last + 1)) <= set(consumer.offsets)
            await until(lambda: pipeline.publisher.audits > 0, what="looked")
            await assert_true(broker, pipeline.journal)
