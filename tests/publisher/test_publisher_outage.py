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
from bridge.ports.journal import CommitFailed, JournalUnavailable
from bridge.publisher import publisher as publisher_module
from bridge.wiring.pipeline_side import DRAIN_SECONDS
from tests.publisher.publisher_run import PublisherRun, run_publisher
from tests.publisher.workload import Workload, assert_true
from tests.support.brokers import RunningBroker, free_port, mosquitto_broker, mosquitto_with_acl, running, until
from tests.support.mqtt_consumer import mqtt_consumer
from tests.support.tcp_proxy import ConnectionEnd, Cut, tcp_proxy

CUTS = 8
FROM_US = 0.7  # of the cuts are of what we send
P = ParamSpec("P")
T = TypeVar("T")


async def test_cut_at_any_byte_nothing_is_missing_and_the_order_holds(mosquitto: RunningBroker, path: Path) -> None:
    chance = random.Random(3)
    async with (
        tcp_proxy(mosquitto.port) as proxy,
        mqtt_consumer(mosquitto) as consumer,
        run_publisher(proxy.port, path) as run,
    ):
        for _ in range(CUTS):
            after, end = chance.randrange(30_000), chance.choice(list(ConnectionEnd))
            proxy.plan_cut(Cut(after, end, from_client=chance.random() < FROM_US))
        workload, last = Workload(seed=5), 0
        while proxy.connections <= CUTS:
            last = run.commit(workload.next(100))
            cuts = proxy.connections
            await until(lambda: run.publisher.published == last or proxy.connections > cuts, seconds=30)  # noqa: B023 - asked before the next round
        await run.marked(last)
        await consumer.all_up_to(last)
        assert len(consumer.offsets) > last, "some came twice: it was cut while it published"
        for before, offset in zip([0, *accumulate(consumer.offsets, max)], consumer.offsets, strict=False):
            assert offset <= before + 1, "what is repeated may go back; nothing jumps ahead"
        await until(lambda: run.publisher.audits > 0, what="looked")
        await assert_true(mosquitto, run.journal)


async def test_a_link_that_breaks_within_every_window_gets_some_through(mosquitto: RunningBroker, path: Path) -> None:
    """Each connection ends within a window of 100 events."""
    async with (
        tcp_proxy(mosquitto.port) as proxy,
        mqtt_consumer(mosquitto) as consumer,
        run_publisher(proxy.port, path) as run,
    ):
        await until(lambda: run.publisher.audits > 0, what="connected, and audited")
        proxy.cut()
        for _ in range(1_000):  # more than the time of the test allows
            proxy.plan_cut(Cut(25_000, from_client=True))
        last = run.commit(Workload(seed=5).next(500))
        await until(lambda: run.publisher.published == last, seconds=60, what="published")
        await consumer.all_up_to(last)
        assert proxy.connections > 3, "it broke in between"


async def test_what_is_committed_while_the_publisher_stops_is_published(
    mosquitto: RunningBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "SAVE_SECONDS", 60)  # so that the stop saves
    workload, loop = Workload(seed=5), asyncio.get_running_loop()
    async with run_publisher(mosquitto.port, path) as run:
        mark_published = run.journal.mark_published

        def commit_first(*arguments: Any, **named: Any) -> None:
            monkeypatch.undo()
            committed = asyncio.run_coroutine_threadsafe(_commit(run, workload), loop)
            committed.result(timeout=30)
            mark_published(*arguments, **named)

        last = run.commit(workload.next(10))
        await until(lambda: run.publisher.published == last, what="published")
        monkeypatch.setattr(run.journal, "mark_published", commit_first)
        run.publisher.stop()
        await until(run.task.done, what="stopped")
        assert run.publisher.published == run.journal.position().offset == last + 10


async def _commit(run: PublisherRun, workload: Workload) -> None:
    run.commit(workload.next(10))


@pytest.mark.faults
async def test_backlog_of_any_length_takes_the_same_memory(mosquitto: RunningBroker, tmp_path: Path) -> None:
    peaks, workload = [], Workload(seed=7)
    for number, count in enumerate((500, 4_000)):
        async with run_publisher(free_port(), tmp_path / f"{number}.db") as offline:
            for _ in range(count // 100):
                offline.commit(workload.next(100))
            last = offline.journal.position().offset
        tracemalloc.start()
        try:
            async with run_publisher(mosquitto.port, tmp_path / f"{number}.db") as run:
                await run.marked(last)
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


async def test_refused_topics_are_left_out_and_the_others_come_once_in_order(tmp_path: Path, path: Path) -> None:
    rules = [
        f"topic {rule}" for rule in ("read #", "write floor/v1/bridge/#", "write floor/v1/station/#", "write a-mark/#")
    ]
    rules.append("topic write floor/v1/event/+/+/+/+/+/changeover_started/#")
    broker = mosquitto_with_acl(tmp_path / "mosquitto", *rules, options="max_queued_messages 100000\n")
    with running(broker):
        async with mqtt_consumer(broker) as consumer, run_publisher(broker.port, path) as run:
            last = run.commit(Workload(seed=9).next(400))
            await run.marked(last)
            allowed = [e.offset for e in run.journal.events_after(0, limit=400) if e.type == "changeover_started"]
            await until(lambda: consumer.last == allowed[-1])
            assert consumer.offsets == allowed
            assert run.publisher.refused > 0


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
            async with run_publisher(mosquitto.port, path) as run:
                last = run.commit(Workload(seed=11).next(500))
                await consumer.all_up_to(last)
                await until(lambda: tries > 3, what="tried again")
                run.publisher.stop()
                await asyncio.wait_for(run.task, 5)
                assert run.journal.published_offset() == 0
        consumer.offsets.clear()
        async with run_publisher(mosquitto.port, path) as run:
            await run.marked(last)
            await consumer.all_up_to(last)
            await until(lambda: run.publisher.audits > 0, what="looked")
            await assert_true(mosquitto, run.journal)


async def test_journal_that_cannot_be_read_for_a_while_is_asked_again(
    mosquitto: RunningBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "RETRY_SECONDS", 0.01)
    chance = random.Random(13)
    for name in ("events_after", "snapshot", "retained_topics"):
        monkeypatch.setattr(SqliteJournal, name, unreliable(getattr(SqliteJournal, name), chance))
    async with mqtt_consumer(mosquitto) as consumer, run_publisher(mosquitto.port, path) as run:
        last = run.commit(Workload(seed=13).next(1_000))
        await run.marked(last)
        await consumer.all_up_to(last)
        await until(lambda: run.publisher.audits > 0, what="looked")


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
        async with run_publisher(broker.port, path) as run:
            last = run.commit(Workload(seed=15).next(50))
            await run.marked(last)
            broker.send(signal.SIGSTOP)
            if outage == "gone":
                broker.kill()
                await until(lambda: not run.link.status.connected)
            last = run.commit(Workload(seed=17).next(500))
            run.publisher.stop()
            await asyncio.wait([run.task], timeout=DRAIN_SECONDS)
            assert run.task.done() or outage == "frozen", "only a frozen broker is waited for"
            assert run.publisher.published == 50
        if outage == "gone":
            broker.start()
        else:
            broker.send(signal.SIGCONT)
        async with mqtt_consumer(broker) as consumer, run_publisher(broker.port, path) as run:
            await run.marked(last)
            await until(lambda: consumer.last == last)
            assert set(range(51, last + 1)) <= set(consumer.offsets)
            await until(lambda: run.publisher.audits > 0, what="looked")
            await assert_true(broker, run.journal)
