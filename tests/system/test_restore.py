"""A night at the plant: a backup while the bridge runs, more events, a restore, and dashboards that come back."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker
from tests.support.command_line import floor
from tests.support.dashboard import Dashboard

STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
PRESS = b'{"action": "raise", "andon_type": "%s"}'
ANDON = {"id": "a", "subscription_type": "andon", "target_id": "all"}


async def tool(running: BridgeProcess, *arguments: str | Path) -> str:
    ended = await asyncio.to_thread(floor, running.config.parent, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


async def press(running: BridgeProcess, client: Dashboard, andon_type: bytes) -> dict[str, Any]:
    """Raise a call; return its event."""
    async with running.device() as device:
        await device.publish(STATION, PRESS % andon_type)
    return await client.receive("andon_event", data__andon_type=andon_type.decode(), data__status="open")


async def test_dashboards_are_notified_of_a_restore_and_confuse_no_offsets(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as running:
        async with running.dashboard() as board:
            await board.snapshot(subscription_type="andon", target_id="all")
            before_backup = await press(running, board, b"equipment")
            await tool(running, "journal", "backup", "backup.db")
            lost = await press(running, board, b"material")
            position = await board.receive("position")
            while position["streams"]["main"]["offset"] < lost["offset"]:
                position = await board.receive("position")
        await running.stop()
        output = await tool(running, "journal", "restore", "backup.db", "--replace")
        assert "in the new epoch" in output
        await running.start()
        async with running.dashboard() as board:
            since = position["streams"]
            resumed = await board.ask("resume", "resumed", subscriptions=[ANDON], since=since)
            assert resumed["streams"] == {"main": {"recovered": False}}
            await board.receive("snapshot_end", id="a")
            calls = [frame for frame in board.frames if frame["type"] == "andon_event"]
            assert [frame["id"] for frame in calls] == [before_backup["id"]], "as it was at the backup"
            again = await press(running, board, b"quality")
            assert again["epoch"] != lost["epoch"]
            epochs = json.loads(await tool(running, "journal", "stats", "--json"))["epochs"]
            assert epochs[-1]["first_offset"] <= lost["offset"], "an offset that names something else now"
            assert again["id"] != lost["id"]
            position = await board.receive("position")
        async with running.dashboard() as board:
            await board.send({"type": "resume", "subscriptions": [ANDON], "since": since})
            assert (await board.receive("resumed"))["streams"] == {"main": {"recovered": False}}, (
                "however late it comes"
            )
            await board.send({"type": "resume", "subscriptions": [ANDON], "since": position["streams"]})
            assert (await board.receive("resumed"))["streams"] == {"main": {"recovered": True}}
        assert "is intact" in await tool(running, "journal", "verify")


async def test_a_separate_front_stays_through_a_restore_and_notifies_its_dashboards(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto, fronts=1) as pipeline:
        async with pipeline.front.dashboard() as board:
            await board.snapshot(subscription_type="andon", target_id="all")
            before_backup = await press(pipeline, board, b"equipment")
            await tool(pipeline, "journal", "backup", "backup.db")
            lost = await press(pipeline, board, b"material")
            since = {"main": {"epoch": lost["epoch"], "offset": lost["offset"]}}
            await pipeline.stop()
            await tool(pipeline, "journal", "restore", "backup.db", "--replace")
            await pipeline.start()
            assert (await board.closed(seconds=30))[0] == 1012
        await pipeline.front.ready()
        async with pipeline.front.dashboard() as board:
            await board.send({"type": "resume", "subscriptions": [ANDON], "since": since})
            assert (await board.receive("resumed"))["streams"] == {"main": {"recovered": False}}
            await board.receive("snapshot_end", id="a")
            calls = [frame for frame in board.frames if frame["type"] == "andon_event"]
            assert [frame["id"] for frame in calls] == [before_backup["id"]]
            new = await press(pipeline, board, b"quality")
            assert new["epoch"] != lost["epoch"]
