"""What the stream's topic says while the disk is full; its ends are in test_stream_ownership.py."""

import resource
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.mqtt_consumer import mqtt_consumer

NO_ROOM = 1  # byte a file may have: every write fails, as on a full disk
TOLD_SECONDS = 5.0  # promise P5


def limit_files(floor: BridgeProcess, most: int) -> None:
    assert floor.process is not None
    resource.prlimit(floor.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


async def test_full_disk_is_told_as_not_ready_and_heals(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with (
        bridge_process(tmp_path, mosquitto) as floor,
        mqtt_consumer(mosquitto, "bridge") as seen,
        floor.device() as device,
    ):
        await until(lambda: seen.status.get("ready") is True, what="ready")
        limit_files(floor, NO_ROOM)
        await device.publish("floor/v1/report/plant1/packing/L1/Bagger-1/state", b'{"state": "running"}')
        await until(lambda: seen.status["ready"] is False, seconds=TOLD_SECONDS, what="not ready")
        assert seen.status["online"] is True
        limit_files(floor, resource.RLIM_INFINITY)
        await until(lambda: seen.status["ready"] is True, seconds=20, what="healed")
        await until(lambda: "pipeline.commit_recovered" in floor.log(), what="told in the log")
