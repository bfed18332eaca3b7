"""A bad network between bridge and broker under load is reported within 5 s and heals; nothing is lost or doubled.

The plant and the plain MQTT consumer are at the broker itself; only the bridge is behind the network.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.bridge_under_load import BridgeUnderLoad, bridge_under_load
from tests.support.brokers import RunningBroker, until
from tests.support.rounds import rounds
from tests.support.tcp_proxy import ConnectionEnd, Cut, Direction, TcpProxy, tcp_proxy

REPORTS = 60
CUTS = 30
REPORTED_SECONDS = 5.0
HEALED_SECONDS = 25.0


@contextlib.asynccontextmanager
async def behind_a_network(folder: Path, broker: RunningBroker) -> AsyncIterator[tuple[BridgeUnderLoad, TcpProxy]]:
    async with tcp_proxy(broker.port) as network:
        elsewhere = {"FLOOR_BROKER__PORT": str(network.port)}
        async with bridge_under_load(folder, broker, environment=elsewhere) as loaded:
            await until(lambda: loaded.dashboard.live, what="live")
            yield loaded, network


async def half_open(loaded: BridgeUnderLoad, network: TcpProxy, *directions: Direction) -> None:
    """Block these directions until the loss is reported, and while the plant sends more reports."""
    await loaded.load.more(REPORTS)
    network.freeze(*directions)
    await until(lambda: not loaded.dashboard.live, seconds=REPORTED_SECONDS, what="not live")
    assert "no connection to the broker" in await asyncio.to_thread(loaded.bridge.readiness)
    await loaded.load.more(REPORTS)
    network.thaw()
    await until(lambda: loaded.dashboard.live, seconds=HEALED_SECONDS, what="healed")


@rounds(1, faults=3)
async def test_a_half_open_link_is_reported_and_loses_nothing(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network):
        for _ in range(rounds):
            await half_open(loaded, network, network.to_server, network.to_client)
        ledger = await loaded.close_ledger(f"{rounds} times a link to the broker that is half-open both ways")
    assert ledger.wrong == {}


@pytest.mark.faults
async def test_a_link_that_is_half_open_one_way_is_reported_and_loses_nothing(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network):
        await half_open(loaded, network, network.to_server)
        await half_open(loaded, network, network.to_client)
        ledger = await loaded.close_ledger("a link to the broker that is half-open one way, and then the other")
    assert ledger.wrong == {}


@pytest.mark.faults
async def test_a_slow_and_shaky_link_loses_nothing(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """A round trip of 200 ms and jitter of as much, as by radio: live, and never out of order."""
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network):
        for direction in (network.to_server, network.to_client):
            direction.delay_seconds, direction.jitter_seconds = 0.1, 0.1
        await loaded.load.more(5 * REPORTS)
        assert loaded.dashboard.live, "slow is not dead"
        ledger = await loaded.close_ledger("a round trip of 0.2 to 0.4 s between bridge and broker")
    assert ledger.wrong == {}


@pytest.mark.faults
async def test_a_narrow_link_loses_nothing(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """At 20 kB/s less passes than is sent: the broker's queue grows, and drains when the link widens."""
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network):
        network.to_server.bytes_per_second = network.to_client.bytes_per_second = 20_000
        await loaded.load.more(10 * REPORTS)
        network.to_server.bytes_per_second = network.to_client.bytes_per_second = None
        ledger = await loaded.close_ledger("20 kB/s between bridge and broker")
    assert ledger.wrong == {}


@pytest.mark.faults
async def test_resets_in_the_middle_of_packets_lose_nothing(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """Each connection of the bridge is cut after so many bytes, mostly within a packet, in either direction."""
    chance = random.Random(7)
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network):
        for number in range(CUTS):
            for _ in range(4):  # one for each connection of the bridge
                network.plan_cut(
                    Cut(
                        chance.randrange(40, 30_000),
                        chance.choice([ConnectionEnd.RESET, ConnectionEnd.CLOSE]),
                        chance.random() < 0.5,
                    )
                )
            network.cut(ConnectionEnd.RESET)
            before = network.connections
            await until(lambda before=before: network.connections > before, seconds=HEALED_SECONDS, what="again")  # type: ignore[misc]
            await loaded.load.more(REPORTS // (1 + number % 4))
        network.forget_cuts()
        await until(lambda: loaded.dashboard.live, seconds=HEALED_SECONDS, what="healed")
        ledger = await loaded.close_ledger(f"{CUTS} times all links to the broker cut, and again within the next bytes")
    assert ledger.wrong == {}
