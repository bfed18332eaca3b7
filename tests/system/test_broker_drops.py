"""Messages that the broker drops: only its `$SYS` counts show them, which the bridge reads and reports."""

import re
from pathlib import Path

from bridge.domain.messages import Publication
from bridge.mqtt.link import BrokerLink
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import (
    MOSQUITTO_CONF,
    RunningBroker,
    client_settings,
    linked,
    mosquitto_broker,
    running,
    until,
)

QUEUED = 50
FORGETFUL = re.sub(r"max_queued_messages \d+", f"max_queued_messages {QUEUED}\nsys_interval 1", MOSQUITTO_CONF)


def dropped(bridge: BridgeProcess) -> int:
    (count,) = re.findall(r"^floor_broker_dropped_messages_total ([\d.]+)$", bridge.metrics(), re.MULTILINE)
    return int(float(count))


async def leave_a_session(broker: RunningBroker) -> None:
    """Let the broker keep messages for a client that is offline."""
    away = BrokerLink(client_settings(broker), client_id="away", durable=True, subscriptions=[("away/#", 1)])
    async with linked(away):
        pass


async def test_messages_dropped_by_the_broker_are_reported_and_shown(tmp_path: Path) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(mosquitto_broker(folder, conf=FORGETFUL)) as broker:
        await leave_a_session(broker)
        async with bridge_process(tmp_path, broker) as bridge, bridge.device() as device:
            assert dropped(bridge) == 0
            await device.publish_many([Publication("away/x", b"{}")] * 3 * QUEUED)
            await until(lambda: dropped(bridge) >= QUEUED, seconds=30, what="shown")
            await until(lambda: "broker.messages_dropped" in bridge.log(), what="a log event")
