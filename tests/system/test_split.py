"""`floor run --role pipeline` and `--role front`: what holds in one process holds in two, and between them."""

import asyncio
import os
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.faults.load_plant import LINE, PLACE, write_plant
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker
from tests.support.command_line import ROOT

STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
STATION_TO_GO = f"floor/v1/report/{PLACE}/Andon-A/andon"
PRESS = b'{"action": "raise", "andon_type": "equipment"}'


async def press(bridge: BridgeProcess, payload: bytes = PRESS) -> None:
    async with bridge.device() as device:
        await device.publish(STATION, payload)


def status_of(bridge: BridgeProcess, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{bridge.port}{path}", timeout=2) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


async def first_line(folder: Path, *arguments: str) -> str:
    """Return the first output of a command that keeps running."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", *arguments),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        return (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    finally:
        process.kill()
        await process.wait()


async def test_a_press_reaches_a_dashboard_of_a_front_and_its_action_the_floor(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto, fronts=1) as bridge, bridge.front.dashboard() as board:
        await board.snapshot(subscription_type="andon", target_id="L1")
        await press(bridge)
        call = await board.receive("andon_event", data__status="open")
        await board.send({"type": "acknowledge", "event_id": call["id"]})
        acknowledged = await board.receive("andon_event", data__status="acknowledged")
        assert acknowledged["data"]["acknowledged_by"] == {"id": "eva"}

        command = {"type": "command", "id": "c1", "action": "andon.resolve", "line_id": "L1"}
        command |= {"equipment_code": "Andon-L1", "call_id": call["subject"], "notes": "oiled"}
        await board.send(command)
        result = await board.receive("command_result", id="c1")
        assert result["outcome"] == "applied"
        resolved = next(frame for frame in board.frames if frame.get("id") in result["event_ids"])
        assert resolved["data"]["resolution_notes"] == "oiled"
        await board.send(command)
        assert (await board.receive("command_result", id="c1"))["event_ids"] == result["event_ids"]
        await board.send({**command, "id": "c2", "call_id": "L1.call.99"})
        refused = await board.receive("command_result", id="c2")
        assert (refused["outcome"], refused["event_ids"]) == ("rejected", [])
        assert await bridge.front.stop() == 0
        assert (await board.closed())[0] == 1012


async def test_a_pipeline_alone_shows_its_health_and_serves_no_dashboard(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto, fronts=0) as bridge:
        answers = {
            path: status_of(bridge, path)
            for path in ("/health/live", "/health/ready", "/metrics", "/", "/ws", "/api/snapshot")
        }
        assert answers == {
            **dict.fromkeys(("/health/live", "/health/ready"), 200),
            "/metrics": 401,
            **dict.fromkeys(("/", "/ws", "/api/snapshot"), 404),
        }
        watching = await first_line(tmp_path, "watch")
        assert "serves no dashboards" in watching
        assert "--url" in watching
        assert await bridge.stop() == 0


async def test_command_while_the_pipeline_is_offline_is_answered_once_it_is_back(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    impatient = {"FLOOR_WEB__COMMAND_TIMEOUT_SECONDS": "1"}
    async with (
        bridge_process(tmp_path, mosquitto, environment=impatient, fronts=1) as bridge,
        bridge.front.dashboard() as board,
    ):
        await board.snapshot(subscription_type="andon", target_id="L1")
        await bridge.stop()
        raising = {"type": "command", "id": "c1", "action": "andon.raise", "line_id": "L1"}
        raising |= {"equipment_code": "Andon-L1", "andon_type": "quality"}
        await board.send(raising)
        assert (await board.receive("command_result", id="c1"))["outcome"] == "unknown"
        await bridge.start()
        call = await board.receive("andon_event", data__status="open")
        await board.send(raising)
        result = await board.receive("command_result", id="c1")
        assert result["outcome"] == "applied"
        assert call["id"] in result["event_ids"]


async def test_front_of_a_simulation_is_refused(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto, fronts=0) as bridge:
        front = bridge.add_front({"FLOOR_TIME__SCALE": "60"})
        await front.launch()
        assert front.process is not None
        assert await asyncio.wait_for(front.process.wait(), 20) == 1
        assert any(line.startswith("time.scale: a separate front cannot run") for line in front.log().splitlines())


async def test_plant_that_lost_a_line_is_a_new_epoch_to_a_front_that_stays(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    plant = write_plant(tmp_path)
    async with bridge_process(tmp_path, mosquitto, plant=plant, fronts=1) as bridge:
        async with bridge.front.dashboard() as board:
            await board.snapshot(subscription_type="andon")
            await press(bridge)
            call = await board.receive("andon_event", data__status="open")
            async with bridge.device() as device:
                await device.publish(STATION_TO_GO, PRESS)
            await board.receive("andon_event", line_id="L5")
            since = (await board.receive("position"))["streams"]
            assert await bridge.stop() == 0
            plant.write_text(plant.read_text().replace(LINE, ""))
            await bridge.start()
            async with asyncio.timeout(20):
                assert (await board.closed())[0] == 1012
        await bridge.front.ready()
        async with bridge.front.dashboard() as board:
            body = {"id": "s", "subscription_type": "andon"}
            await board.send({"type": "resume", "subscriptions": [body], "since": since})
            assert (await board.receive("resumed"))["streams"]["main"] == {"recovered": False}
            await board.receive("snapshot_end")
            calls = [frame for frame in board.frames if frame["type"] == "andon_event"]
            assert calls == [call]
