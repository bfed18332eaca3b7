"""A bridge that is killed while it publishes."""

import asyncio
import signal
from pathlib import Path

import aiomqtt

from tests.faults.crash_launcher import CrashLauncher
from tests.support.bridge_process import bridge_process
from tests.support.brokers import RunningBroker
from tests.support.in_process import ROOT
from tests.support.retained_messages import event_topics, retained, until_retained


async def test_bridge_killed_between_an_event_and_its_clear_leaves_no_stale_event(
    mosquitto: RunningBroker, tmp_path: Path
) -> None:
    fork = CrashLauncher()
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
