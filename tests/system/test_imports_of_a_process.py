"""A process of one side loads nothing of the other: seen in the imports of the real processes while they work."""

import asyncio
import re
from pathlib import Path
from urllib.request import urlopen

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker

IMPORT = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)
STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"


async def imports(bridge: BridgeProcess) -> set[str]:
    """Stop the process, and return the modules that it imported in its life."""
    await asyncio.to_thread(urlopen, f"http://127.0.0.1:{bridge.port}/health/live", timeout=5)
    assert "floor_ready 1.0" in await asyncio.to_thread(bridge.metrics)
    assert await bridge.stop() == 0
    modules = set(IMPORT.findall(bridge.log()))
    assert "bridge.wiring.bridge" in modules
    return modules


def of(packages: set[str], modules: set[str]) -> set[str]:
    return {module for module in modules if any(f"{module}.".startswith(f"{package}.") for package in packages)}


async def test_a_pipeline_loads_no_front(tmp_path: Path, mosquitto: RunningBroker) -> None:
    profiled = {"PYTHONPROFILEIMPORTTIME": "1"}
    async with bridge_process(tmp_path, mosquitto, environment=profiled, fronts=0) as bridge:
        async with bridge.device() as device:
            await device.publish(STATION, b'{"action": "raise", "andon_type": "equipment"}')
        modules = await imports(bridge)
    assert of({"bridge.pipeline", "bridge.publisher"}, modules)
    unwanted = {"bridge.front", "bridge.contract"}
    assert of(unwanted, modules) == set()


async def test_a_front_loads_no_pipeline(tmp_path: Path, mosquitto: RunningBroker) -> None:
    profiled = {"PYTHONPROFILEIMPORTTIME": "1"}
    async with bridge_process(tmp_path, mosquitto, fronts=0) as bridge:
        front = bridge.add_front(profiled)
        await front.start()
        async with front.dashboard() as board:
            await board.snapshot(subscription_type="andon", target_id="L1")
        modules = await imports(front)
    assert of({"bridge.front"}, modules)
    assert of({"bridge.pipeline", "bridge.publisher", "bridge.journal.sqlite.writer"}, modules) == set()
