"""A broker that lets only a few messages be unacknowledged."""

import json
from pathlib import Path

import pytest

from tests.support.brokers import MOSQUITTO_CONF, mosquitto_broker, running, until
from tests.support.in_process import PIPELINE, device, in_process, publish_report


@pytest.mark.parametrize(("protocol", "window"), [("5", 1), ("5", 3), ("3.1.1", 1)])
async def test_a_window_smaller_than_a_batch_does_not_stall(tmp_path: Path, protocol: str, window: int) -> None:
    """MQTT 5 has the receive maximum for it; in 3.1.1 the broker's own limit holds, of which a client knows nothing."""
    folder = tmp_path / "broker"
    folder.mkdir()
    conf = MOSQUITTO_CONF if protocol == "5" else f"{MOSQUITTO_CONF}\nmax_inflight_messages {window}\n"
    with running(mosquitto_broker(folder, conf=conf)) as broker:
        await flow(broker.port, tmp_path / "journal.db", protocol=protocol, window=window)


async def flow(port: int, path: Path, *, protocol: str, window: int) -> None:
    async with in_process(
        port,
        path,
        parts=[PIPELINE],
        journal__commit_max_inputs=500,
        broker__protocol=protocol,
        broker__receive_maximum=window if protocol == "5" else 1_000,
    ) as bridge:
        await until(lambda: bridge.connected, what="connected")
        async with device(port) as client:
            for number in range(100):
                await publish_report(client, "report/bagger/counts", total=number, ts=number + 1)
        applied = ("counts", "applied", "")
        await until(lambda: bridge.core.status().counters.get(applied) == 100, what="all of them")
        inputs = [entry.input for entry in bridge.journal.inputs_after(0, limit=1_000)]
        assert [json.loads(entry.payload)["total"] for entry in inputs if entry.topic] == list(range(100))
