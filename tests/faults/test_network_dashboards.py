"""A bad network between front and dashboards, under load: every dashboard has everything once and in order at the end.

A second dashboard on a good network beside them has its own ledger: no fault of one affects another.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.faults.bridge_under_load import BridgeUnderLoad, bridge_under_load
from tests.faults.loss_ledger import last_offset, of_dashboard
from tests.faults.resuming_subscriber import ResumingSubscriber
from tests.faults.test_split_faults import resuming_boards
from tests.support.brokers import RunningBroker, until
from tests.support.bytes_dashboard import UPGRADE, connect, encoded
from tests.support.rounds import rounds
from tests.support.tcp_proxy import ConnectionEnd, Cut, TcpProxy, tcp_proxy

REPORTS: Final = 60
BOARDS: Final = 4
PATIENCE: Final = 30.0
SHORT: Final = 200  # connections


@contextlib.asynccontextmanager
async def behind_a_network(
    folder: Path, broker: RunningBroker
) -> AsyncIterator[tuple[BridgeUnderLoad, TcpProxy, list[ResumingSubscriber]]]:
    async with bridge_under_load(folder, broker) as loaded, tcp_proxy(loaded.bridge.port) as network:
        elsewhere = replace(loaded.bridge, port=network.port)
        async with resuming_boards(*[elsewhere] * BOARDS) as subscribers:
            yield loaded, network, subscribers


async def close(loaded: BridgeUnderLoad, subscribers: list[ResumingSubscriber], title: str) -> None:
    """Wait until every dashboard has all, and hold what each had against the journal."""
    await loaded.load.stop()
    end = last_offset(loaded.bridge.journal)
    await until(lambda: all(subscriber.at >= end for subscriber in subscribers), seconds=PATIENCE, what="caught up")
    resumed = sum(subscriber.resumed for subscriber in subscribers)
    ledger = await loaded.close_ledger(f"{title}; resumed {resumed} times by {BOARDS} dashboards")
    assert ledger.wrong == {}
    for subscriber in subscribers:
        wrong = {
            name: mismatches for name, mismatches in of_dashboard(ledger.journalled, subscriber).items() if mismatches
        }
        assert wrong == {}
        assert all(before < after for before, after in pairwise(subscriber.order)), "in order"


@rounds(3, faults=20)
async def test_dashboards_that_are_cut_off_anywhere_have_everything_once(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    chance = random.Random(11)
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network, subscribers):
        for _ in range(rounds):
            for _ in range(BOARDS):
                network.plan_cut(
                    Cut(chance.randrange(100, 60_000), chance.choice([ConnectionEnd.RESET, ConnectionEnd.CLOSE]))
                )
            network.cut(ConnectionEnd.RESET)
            await loaded.load.more(REPORTS)
        network.forget_cuts()
        await close(loaded, subscribers, f"{rounds} times all dashboards cut off, and again within the next bytes")


@pytest.mark.faults
async def test_dashboards_behind_a_slow_and_shaky_network_have_everything_once(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network, subscribers):
        for direction in (network.to_server, network.to_client):
            direction.delay_seconds, direction.jitter_seconds = 0.2, 0.2
        await loaded.load.more(5 * REPORTS)
        assert all(subscriber.live for subscriber in subscribers), "slow is not dead"
        await close(loaded, subscribers, "latency of 0.2 to 0.4 s each way between front and dashboards")


@pytest.mark.faults
async def test_dashboards_behind_a_narrow_network_have_everything_once(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    """At 20 kB/s a dashboard falls behind; the rest is conflated, or read later from the journal."""
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network, subscribers):
        network.to_client.bytes_per_second = network.to_server.bytes_per_second = 20_000
        await loaded.load.more(15 * REPORTS)
        behind = last_offset(loaded.bridge.journal) - min(subscriber.at for subscriber in subscribers)
        network.to_client.bytes_per_second = network.to_server.bytes_per_second = None
        await close(loaded, subscribers, f"20 kB/s between front and each dashboard, {behind} events behind")


@pytest.mark.faults
async def test_many_short_connections_disturb_no_dashboard(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """Connections that end before, during and after the handshake, or stay silent, under load."""
    chance = random.Random(13)
    async with behind_a_network(tmp_path, mosquitto) as (loaded, network, subscribers):
        for number in range(SHORT):
            await short_life(network, loaded.bridge.token(), chance, stage=number % 4)
        await loaded.load.more(REPORTS)
        assert all(subscriber.live and subscriber.connections == 1 for subscriber in subscribers)
        await until(lambda: connections(loaded) == BOARDS + 1, what="no trace of them")
        await close(loaded, subscribers, f"{SHORT} short connections")


async def short_life(network: TcpProxy, proof: str, chance: random.Random, *, stage: int) -> None:
    board = await connect(network.port, upgrade=b"")
    if stage:
        board.send_bytes(UPGRADE[: None if stage > 1 else chance.randrange(len(UPGRADE))])
    if stage > 1:
        await asyncio.wait_for(board.upgraded.wait(), PATIENCE)
        frame = encoded({"type": "auth", "token": proof})
        board.send_bytes(frame[: None if stage > 2 else chance.randrange(len(frame))])
    if chance.random() < 0.5:
        board.abort()
    else:
        await board.disconnect()


def connections(loaded: BridgeUnderLoad) -> int:
    lines = loaded.bridge.metrics().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("floor_dashboard_connections "))))
