"""Latency from a press at an Andon station to its event, one press after the other, by one process and by two."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench.judgement import judge, percentiles
from tests.bench.processes import Meter
from tests.bench.rows import END_TO_END, FigureRow
from tests.bench.whole_bridge import bridge_pids
from tests.support.bridge_process import PROGRAM, BridgeProcess, bridge_process
from tests.support.brokers import mosquitto_broker, running

STATION: Final = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
ACTIONS: Final = ("raise", "acknowledge", "resolve")


async def measure_presses(count: int) -> list[FigureRow]:
    """Press one after the other, through a real Mosquitto and a real commit each time; nothing else is to do."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for name in ("broker", "one", "two"):
            (folder / name).mkdir()
        with running(mosquitto_broker(folder / "broker")) as broker:
            assert broker.process is not None
            others = {"broker": broker.process.pid, "reader": os.getpid()}
            async with bridge_process(folder / "one", broker, launcher=PROGRAM) as bridge:
                together = await _row("one process", bridge, others, count)
                await bridge.stop()
            async with bridge_process(folder / "two", broker, fronts=1, launcher=PROGRAM) as bridge:
                apart = await _row("two processes", bridge, others, count)
    return [together, apart]


async def _row(name: str, bridge: BridgeProcess, others: Mapping[str, int], count: int) -> FigureRow:
    """Press so often; `others` are processes beside those of the bridge."""
    servers = bridge_pids(bridge)
    meter = Meter({**servers, **others})
    latencies_ms = await _latencies(bridge, bridge.front if bridge.fronts else bridge, count)
    usage = meter.read()
    waited = max(usage.waited[part] for part in servers)
    judgement = judge(usage.cores, servers.keys(), waited=waited)
    latencies = {} if judgement.invalid else percentiles("press", latencies_ms)
    figures = {"presses": len(latencies_ms), **latencies, "waited": waited}
    return FigureRow(name=f"{name}, idle, 1 dashboard", fed_by=END_TO_END, figures=figures, judgement=judgement)


async def _latencies(pipeline: BridgeProcess, front: BridgeProcess, count: int) -> list[float]:
    """Return milliseconds from before a press is published to its event."""
    latencies_ms = []
    async with front.dashboard() as board, pipeline.device() as device:
        await board.snapshot(subscription_type="andon", target_id="L1")
        for number in range(count):
            body = {"boot_id": 1, "seq": number, "action": ACTIONS[number % 3], "andon_type": "equipment"}
            began = time.perf_counter()
            publishing = asyncio.create_task(device.publish(STATION, json.dumps(body).encode()))
            await board.receive("andon_event")
            latencies_ms.append((time.perf_counter() - began) * 1_000)
            await publishing
    return latencies_ms
