"""Promise P5 of devices: offline within 5 s of the evidence, which is a Will, a death, or silence past its limit."""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Final

from bridge.domain.messages import Will
from bridge.mqtt.link import BrokerLink
from tests.support.bridge_process import DEMO_PLANT, BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, client_settings, linked, until
from tests.support.dashboard import Dashboard
from tests.support.tcp_proxy import ConnectionEnd, TcpProxy, tcp_proxy

DEVICE: Final = "floor/v1/report/plant1/packing/L1/Bagger-1"
REPORTED_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 2
KEEPALIVE_SECONDS: Final = 2  # of the device: the broker gives it up after one and a half
DEAD_SECONDS: Final = 15.0  # until the broker publishes the Will


def message(kind: str, **fields: object) -> tuple[str, bytes]:
    return f"{DEVICE}/{kind}", json.dumps(fields).encode()


@contextlib.asynccontextmanager
async def device(broker: RunningBroker, port: int, boot: int) -> AsyncIterator[BrokerLink]:
    """A machine that was born, runs, and has left its Will; from the moment it is connected."""
    settings = client_settings(broker).model_copy(update={"port": port, "keepalive_seconds": KEEPALIVE_SECONDS})
    will = Will(f"{DEVICE}/death", json.dumps({"boot_id": boot}).encode(), qos=1, retain=False)
    async with linked(BrokerLink(settings, client_id=f"bagger-{boot}", durable=False, will=will)) as link:
        await link.publish(*message("birth", boot_id=boot, seq=0))
        await link.publish(*message("state", boot_id=boot, seq=1, state="running"))
        yield link


@contextlib.asynccontextmanager
async def wills(broker: RunningBroker) -> AsyncIterator[list[float]]:
    """Collect when the broker published the Will of the device, on the monotonic clock."""
    wills_at: list[float] = []
    link = BrokerLink(client_settings(broker), client_id="heir", durable=False, subscriptions=[(f"{DEVICE}/death", 1)])

    async def listen() -> None:
        while True:
            wills_at.extend(time.monotonic() for _ in await link.receive(most=10))

    async with linked(link):
        listening = asyncio.create_task(listen(), name="heir")
        try:
            yield wills_at
        finally:
            listening.cancel()


async def status(board: Dashboard, wanted: str) -> dict[str, object]:
    """Read up to this status of the machine."""
    return await board.receive(
        "line_status_update", equipment_code="Bagger-1", data__status=wanted, seconds=DEAD_SECONDS
    )


@contextlib.asynccontextmanager
async def watched_line(
    folder: Path, broker: RunningBroker
) -> AsyncIterator[tuple[BridgeProcess, Dashboard, list[float], TcpProxy]]:
    """Run a bridge, a dashboard of line L1, and a proxy before the broker; with the times of published Wills."""
    async with (
        bridge_process(folder, broker) as bridge,
        bridge.dashboard() as board,
        wills(broker) as wills_at,
        tcp_proxy(broker.port) as network,
    ):
        await board.snapshot(subscription_type="line", target_id="L1")
        yield bridge, board, wills_at, network


async def test_a_half_open_or_lost_device_is_offline_within_5_s_of_its_will(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with watched_line(tmp_path, mosquitto) as (_, board, wills_at, network):
        async with device(mosquitto, network.port, 1):
            await status(board, "running")
            network.freeze_passages()  # half-open: only its silence tells the broker
            await status(board, "offline")
            assert time.monotonic() - wills_at[0] < REPORTED_SECONDS
        async with device(mosquitto, network.port, 2):
            await status(board, "running")
            network.refusing = True
            network.cut(ConnectionEnd.RESET)
            await status(board, "offline")
            assert time.monotonic() - wills_at[1] < REPORTED_SECONDS
            network.refusing = False
        async with device(mosquitto, mosquitto.port, 3) as link:
            await status(board, "running")
            reported_at = time.monotonic()
            await link.publish(*message("death", boot_id=3))
            await status(board, "offline")
            assert time.monotonic() - reported_at < REPORTED_SECONDS


async def test_a_will_that_comes_after_the_device_is_back_does_not_make_it_offline(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with watched_line(tmp_path, mosquitto) as (bridge, board, wills_at, network):
        async with device(mosquitto, network.port, 1):
            await status(board, "running")
            network.freeze_passages()
            async with device(mosquitto, mosquitto.port, 2) as link:  # back, by another way, before anybody gave it up
                assert not wills_at
                await until(lambda: bool(wills_at), seconds=DEAD_SECONDS, what="the late Will")
                await link.publish(*message("state", boot_id=2, seq=2, state="stopped"))
                await status(board, "stopped")
        assert became_of_deaths(bridge) == {("suppressed", "out_of_order")}


def became_of_deaths(bridge: BridgeProcess) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{bridge.journal}?mode=ro", uri=True)) as journal:
        return set(journal.execute("SELECT effect, reason FROM inputs WHERE topic LIKE '%/Bagger-1/death'"))


async def test_a_silent_device_is_offline_within_5_s_of_its_limit_and_back_with_its_next_report(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    text = DEMO_PLANT.read_text().replace('faults_file = "', f'faults_file = "{DEMO_PLANT.parent}/')
    changed = text.replace('id = "Bagger-1"\n', f'id = "Bagger-1"\nheartbeat_seconds = {SILENT_SECONDS}\n', 1)
    assert changed != text
    plant = tmp_path / "plant.toml"
    plant.write_text(changed.replace("heartbeat_seconds = 300", "# heartbeat_seconds = 300"))
    async with (
        bridge_process(tmp_path, mosquitto, plant=plant) as bridge,
        bridge.dashboard() as board,
        tcp_proxy(mosquitto.port) as network,
    ):
        await board.snapshot(subscription_type="line", target_id="L1")
        async with device(mosquitto, network.port, 1) as link:
            running = time.monotonic()
            first = await status(board, "running")
            network.freeze(network.to_server)  # it receives from the broker, and the broker receives nothing
            offline = await status(board, "offline")
            assert time.monotonic() - running < SILENT_SECONDS + REPORTED_SECONDS
            assert offline["caused_by"] == [], "its deadline made it"
            network.thaw()
            await until(lambda: link.status.connected, what="connected")
            await link.publish(*message("state", boot_id=1, seq=2, state="running"))
            back = await status(board, "running")
            assert back["offset"] != first["offset"]
