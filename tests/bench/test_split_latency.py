"""Additional latency of a dashboard at a separate front, measured in the same run on the same machine."""

import asyncio
import json
import statistics
import time
from pathlib import Path

import pytest

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker

pytestmark = pytest.mark.bench

STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
ACTIONS = ("raise", "acknowledge", "resolve")
ROUNDS = 300


async def latencies(pipeline: BridgeProcess, front: BridgeProcess) -> list[float]:
    """Milliseconds from a press to its event on a dashboard, one after the other."""
    latencies_ms = []
    async with front.dashboard() as board, pipeline.device() as device:
        await board.snapshot(subscription_type="andon", target_id="L1")
        for number in range(ROUNDS):
            body = {"boot_id": 1, "seq": number, "action": ACTIONS[number % 3], "andon_type": "equipment"}
            began = time.perf_counter()
            publishing = asyncio.create_task(device.publish(STATION, json.dumps(body).encode()))
            await board.receive("andon_event")
            latencies_ms.append((time.perf_counter() - began) * 1_000)
            await publishing
    return latencies_ms


async def test_a_separate_front_adds_this_latency(tmp_path: Path, mosquitto: RunningBroker) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with bridge_process(tmp_path / "one", mosquitto) as bridge:
        one = await latencies(bridge, bridge)
        await bridge.stop()
    async with bridge_process(tmp_path / "two", mosquitto, fronts=1) as bridge:
        two = await latencies(bridge, bridge.front)
    for name, figure in (("p50", statistics.median), ("p99", lambda values: statistics.quantiles(values, n=100)[98])):
        print(f"\n{name}: apart {figure(two) / figure(one):.2f} times ({figure(one):.1f} ms -> {figure(two):.1f} ms)")  # noqa: T201
    assert statistics.median(two) < 3 * statistics.median(one)
