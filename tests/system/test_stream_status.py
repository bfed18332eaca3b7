"""The retained status of a stream while the disk is full; its end is in test_stream_ownership.py."""

import resource
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.mqtt_consumer import mqtt_consumer

NO_ROOM = 1  # byte a file may have: every write fails, as on a full disk
REPORTED_SECONDS = 5.0  # promise P5


def limit_files(bridge: BridgeProcess, most: int) -> None:
    assert bridge.process is not None
    resource.prlimit(bridge.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


async def test_full_disk_is_reported_as_not_ready_and_heals(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with (
        bridge_process(tmp_path, mosquitto) as bridge,
        mqtt_consumer(mosquitto, "bridge") as consumer,
        bridge.device() as device,
    ):
        await until(lambda: consumer.status.get("ready") is True, what="ready")
        limit_files(bridge, NO_ROOM)
        await device.publish("floor/v1/report/plant1/packing/L1/Bagger-1/state", b'{"state": "running"}')
        await until(lambda: consumer.status["ready"] is False, seconds=REPORTED_SECONDS, what="not ready")
        assert consumer.status["online"] is True
        limit_files(bridge, resource.RLIM_INFINITY)
        await until(lambda: consumer.status["ready"] is True, seconds=20, what="healed")
        await until(lambda: "pipeline.commit_recovered" in bridge.log(), what="a log event")
