"""A queue of the broker that overflows while the bridge cannot commit: the canary that is dropped shows it."""

import re
from pathlib import Path

from bridge.domain.messages import Publication
from tests.support.bridge_process import BridgeProcess, blocked_journal, bridge_process
from tests.support.brokers import MOSQUITTO_CONF, mosquitto_broker, running, until

QUEUED = 50
FORGETFUL = re.sub(r"max_queued_messages \d+", f"max_queued_messages {QUEUED}\nsys_interval 1", MOSQUITTO_CONF)
SETTINGS = {
    "FLOOR_BROKER__PROBE": "open",
    "FLOOR_BROKER__PROBE_SECONDS": "5",
    "FLOOR_BROKER__RECEIVE_MAXIMUM": "10",
}
PLACE = "floor/v1/report/plant1/packing/L1/Bagger-1"


def metric(bridge: BridgeProcess, name: str) -> float:
    (value,) = re.findall(rf"^{name} ([\d.]+)$", bridge.metrics(), re.MULTILINE)
    return float(value)


async def test_a_canary_that_the_broker_dropped_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(mosquitto_broker(folder, conf=FORGETFUL)) as broker:
        async with bridge_process(tmp_path, broker, environment=SETTINGS) as bridge, bridge.device() as device:
            passed = 'floor_broker_probes_total\\{outcome="passed"\\}'
            lost = "floor_broker_canaries_lost_total"
            await until(lambda: metric(bridge, passed) > 0, what="a probe")
            assert metric(bridge, lost) == 0
            with blocked_journal(bridge):
                await device.publish_many([Publication(f"{PLACE}/state", b"{}")] * 6 * QUEUED)
                await until(lambda: metric(bridge, "floor_broker_dropped_messages_total") > 0, what="an overflow")
                before = metric(bridge, passed)
                await until(lambda: metric(bridge, passed) >= before + 2, what="a canary into a full queue")
            await until(lambda: metric(bridge, lost) > 0, seconds=60, what="a lost canary")
            assert "broker.canary_lost" in bridge.log()
