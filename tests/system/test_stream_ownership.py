"""A stream has one process: a second one refuses to start, and the first continues."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from bridge.domain.records import Position
from bridge.domain.stream_status import StreamOwner, status_publication
from bridge.mqtt.link import BrokerLink
from bridge.publisher.stream_ownership import StreamInUse, StreamOwnership, echo_topic, ownership_subscriptions
from tests.support.bridge_process import BridgeProcess, bridge_process, configured
from tests.support.brokers import RunningBroker, client_settings, linked, mosquitto_broker, running, until
from tests.support.mqtt_consumer import mqtt_consumer
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

ROOT = "floor/v1"
STATUS = f"{ROOT}/bridge/main"
REPORTED_SECONDS = 5.0  # promise P5


def rival(
    folder: Path, broker: RunningBroker, *, port: int | None = None, journal: Path | None = None
) -> BridgeProcess:
    """Describe a second bridge for the same stream, by default with another journal."""
    folder.mkdir()
    settings = {"FLOOR_BROKER__PORT": str(port or broker.port)}
    return configured(folder, broker, environment=settings | ({"FLOOR_JOURNAL__PATH": str(journal)} if journal else {}))


async def ended(bridge: BridgeProcess) -> str:
    """Wait until it has ended by itself; return its output."""
    assert bridge.process is not None
    try:
        assert await asyncio.wait_for(bridge.process.wait(), 30) == 1, bridge.log()
    finally:
        if bridge.process.returncode is None:
            bridge.process.kill()
    return bridge.log()


@pytest.mark.parametrize("which", ["mosquitto", pytest.param("nats", marks=pytest.mark.faults)])
async def test_second_process_refuses_to_start(tmp_path: Path, which: str, request: pytest.FixtureRequest) -> None:
    """With another journal, and on the same one."""
    broker: RunningBroker = request.getfixturevalue(which)
    async with bridge_process(tmp_path, broker) as first, mqtt_consumer(broker, "bridge") as consumer:
        await until(lambda: len(consumer.statuses) > 0)
        second = rival(tmp_path / "second", broker)
        third = rival(tmp_path / "third", broker, journal=first.journal)
        await asyncio.gather(second.launch(), third.launch())
        output = await ended(second)
        assert "another process publishes stream main" in output
        assert f"epoch {consumer.statuses[0]['epoch']}" in output
        assert "a stream of its own" in output
        assert str(first.journal) in await ended(third)
        assert len(consumer.owners) == 1, "they never spoke"
        assert all(status["online"] for status in consumer.statuses), "and took nobody's connection"
        assert first.is_ready()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_next_process_starts_without_waiting(
    tmp_path: Path, mosquitto: RunningBroker, how: signal.Signals
) -> None:
    """An orderly stop leaves `online: false`, a kill the Will, which is published before the next one listens."""
    async with bridge_process(tmp_path, mosquitto) as bridge, mqtt_consumer(mosquitto, "bridge") as consumer:
        await until(lambda: consumer.status.get("ready") is True, what="ready")
        owner = consumer.status["owner"]
        await bridge.stop(how)
        await until(lambda: consumer.status["online"] is False, seconds=REPORTED_SECONDS)
        assert (consumer.status["ready"], consumer.status["owner"]) == (False, owner)
        assert (consumer.status["offset"] is None) is (how == signal.SIGKILL), "a Will does not know it"
        await bridge.start()
        assert "stream.owner_check" not in bridge.log()


async def test_status_left_online_by_a_dead_process_delays_the_start_only(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    """A killed broker can come back with the status of an owner who ended meanwhile."""
    stale = {
        "online": True,
        "epoch": "old",
        "offset": 5,
        "time": None,
        "simulated": False,
        "owner": "gone",
        "since": "",
    }
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        await client.publish(STATUS, json.dumps(stale), qos=1, retain=True)
    async with bridge_process(tmp_path, mosquitto) as bridge:
        assert "stream.owner_gone" in bridge.log()


async def test_broker_that_is_offline_does_not_stop_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = mosquitto_broker(folder)
    bridge = rival(tmp_path / "floor", broker)
    try:
        await bridge.launch()
        await until(lambda: "stream.unclaimed" in bridge.log() and "bridge.started" in bridge.log(), seconds=30)
        with running(broker):
            await bridge.ready()
    finally:
        await bridge.stop(signal.SIGKILL)


async def test_of_two_that_meet_the_later_one_ends(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """Both started while the second one was cut off from the broker, so that it could not detect the first."""
    async with (
        bridge_process(tmp_path, mosquitto) as first,
        mqtt_consumer(mosquitto, "bridge") as consumer,
        network(mosquitto) as proxy,
    ):
        await until(lambda: len(consumer.statuses) > 0)
        (owner,) = consumer.owners
        second = rival(tmp_path / "second", mosquitto, port=proxy.port)
        proxy.refusing = True
        await second.launch()
        await until(lambda: "stream.unclaimed" in second.log() and "bridge.started" in second.log(), seconds=30)
        proxy.refusing = False
        assert "another process publishes stream main" in await ended(second)
        count = len(consumer.statuses)
        await until(lambda: len(consumer.statuses) >= count + 3, what="the first goes on")
        assert {status["owner"] for status in consumer.statuses[-2:] if status["online"]} == {owner}
        await first.ready()
        assert "stream.second_publisher" in first.log() or len(consumer.owners) == 1


@contextlib.asynccontextmanager
async def network(broker: RunningBroker) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(broker.port) as proxy:
        yield proxy


async def test_a_retained_status_of_an_older_owner_stops_no_bridge(mosquitto: RunningBroker) -> None:
    """A killed broker restores an old status; a bridge that trusts it would end the only process."""
    older = status_publication(
        Position("main", "old", 5),
        root=ROOT,
        online=True,
        ready=True,
        time=0,
        simulated=False,
        owner=StreamOwner("old", 0),
    )
    owner = StreamOwner("own", 1_000)
    ear = BrokerLink(
        client_settings(mosquitto),
        client_id="ear",
        durable=False,
        subscriptions=ownership_subscriptions(ROOT, "main", owner),
    )
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        await client.publish(older.topic, older.payload, qos=1, retain=True)
        async with linked(ear):
            watching = asyncio.create_task(StreamOwnership(ear, root=ROOT, stream="main", owner=owner).watch())
            await ear.publish(echo_topic(ROOT, "main", owner), b"")  # comes back after what is retained
            await until(lambda: ear.queued == 0, what="an empty queue")
            await ear.publish("elsewhere", b"")
            assert not watching.done()
            await client.publish(older.topic, older.payload, qos=1, retain=True)
            with pytest.raises(StreamInUse, match="epoch old"):
                await asyncio.wait_for(watching, 10)


@pytest.mark.faults
async def test_of_two_that_start_at_once_one_ends(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """Neither finds the other's status when it asks, so they meet."""
    both = [rival(tmp_path / name, mosquitto) for name in ("one", "two")]
    try:
        for _ in range(3):
            await asyncio.gather(*(contender.launch() for contender in both))
            processes = [contender.process for contender in both if contender.process is not None]
            await until(lambda processes=processes: any(p.returncode is not None for p in processes), seconds=30)  # type: ignore[misc]
            (stays,) = (
                contender
                for contender in both
                if contender.process is not None and contender.process.returncode is None
            )
            (refused,) = (contender for contender in both if contender is not stays)
            assert "another process publishes stream main" in await ended(refused)
            async with mqtt_consumer(mosquitto, "bridge") as consumer:
                await until(lambda consumer=consumer: consumer.status.get("ready") is True, seconds=20)  # type: ignore[misc]
            await stays.ready()
            assert await stays.stop() == 0
    finally:
        for contender in both:
            await contender.stop(signal.SIGKILL)
