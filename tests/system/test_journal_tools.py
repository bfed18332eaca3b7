"""The tools on the journal of a running bridge: they do not disturb it, and their requests are done."""

import asyncio
import json
from pathlib import Path
from typing import Any

from bridge.journal.tools.quarantine_reader import QuarantineReader
from tests.support.bridge_process import DEMO_PLANT, BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.command_line import floor

STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
PRESS = b'{"action": "raise", "andon_type": "equipment"}'
ANDON = {"id": "a", "subscription_type": "andon", "target_id": "all"}


async def tool(running: BridgeProcess, *arguments: str, code: int = 0) -> str:
    ended = await asyncio.to_thread(floor, running.config.parent, *arguments)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


async def stats(running: BridgeProcess) -> dict[str, Any]:
    statistics: dict[str, Any] = json.loads(await tool(running, "journal", "stats", "--json"))
    return statistics


OFTEN = {"FLOOR_JOURNAL__CHECKPOINT_SECONDS": "0.2"}  # when a replay that was asked for is looked for


async def test_every_tool_works_beside_a_running_bridge(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto, environment=OFTEN) as running, running.dashboard() as board:
        await board.send({"type": "subscribe", **ANDON})
        await board.receive("snapshot_end", id="a")
        async with running.device() as device:
            await device.publish(STATION, b"{garbage")
            await device.publish(STATION, PRESS)
        opened = await board.receive("andon_event", data__status="open")
        assert "is intact" in await tool(running, "journal", "verify")
        figures = await stats(running)
        assert figures["received"]["andon"]["applied"] == 1
        assert figures["unaccounted"] == 0
        exported = await tool(running, "journal", "export", "--only", "events")
        assert opened["id"] in exported
        await tool(running, "journal", "backup", "backup.db")
        (aside,) = json.loads(await tool(running, "quarantine", "list", "--json"))["inputs"]
        assert aside["topic"].endswith("Andon-L1/andon")
        assert "{garbage" in await tool(running, "quarantine", "show", str(aside["number"]))
        replayed = await tool(running, "quarantine", "replay", str(aside["number"]))
        assert f"{aside['number']}: quarantined ({aside['reason']}), 0 events, as input " in replayed, (
            "as bad as before"
        )
        await tool(running, "quarantine", "drop", "--all")
        assert (await stats(running))["unaccounted"] == 0
        async with running.device() as device:
            await device.publish(STATION, b'{"action": "acknowledge", "andon_type": "equipment"}')
        await board.receive("andon_event", data__status="acknowledged")
        await running.stop()
        assert "is intact" in await tool(running, "journal", "verify")


async def test_inputs_that_a_corrected_plant_file_explains_are_replayed_once(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    plant = tmp_path / "plant.toml"
    plant.write_text(DEMO_PLANT.read_text().replace("Andon-L1", "Andon-X1"))
    for beside in DEMO_PLANT.parent.glob("*.csv"):
        (tmp_path / beside.name).write_bytes(beside.read_bytes())
    async with bridge_process(tmp_path, mosquitto, plant=plant, environment=OFTEN) as running:
        async with running.device() as device:
            await device.publish(STATION, PRESS)
        await until(lambda: any(QuarantineReader(running.journal).list_inputs()), what="the press is set aside")
        await running.stop()
        output = await tool(running, "quarantine", "replay", "--all", "--wait", "0")
        assert "1 requested" in output
        plant.write_text(DEMO_PLANT.read_text())
        await running.start()
        async with running.dashboard() as board:
            await board.send({"type": "subscribe", **ANDON})
            opened = await board.receive("andon_event", data__status="open", data__andon_type="equipment")
        await running.stop()
        await running.start()
        (replayed,) = json.loads(await tool(running, "quarantine", "list", "--json"))["inputs"]
        assert replayed["state"] == "replayed"
        events = [
            json.loads(line) for line in (await tool(running, "journal", "export", "--only", "events")).splitlines()
        ]
        calls = [event["event"]["id"] for event in events if event["event"]["type"] == "andon_event"]
        assert calls == [opened["id"]], "once, also over another start"
        assert "is intact" in await tool(running, "journal", "verify")
