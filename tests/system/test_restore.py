"""A night at the plant: a backup while the bridge runs, more events, a restore, and dashboards that come back."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.support.bridge_process import Client, RunningFloor, running_floor
from tests.support.brokers import RunningBroker
from tests.support.command_line import floor
from tests.support.split_processes import split_floor

STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
PRESS = b'{"action": "raise", "andon_type": "%s"}'
ANDON = {"id": "a", "subscription_type": "andon", "target_id": "all"}


async def tool(running: RunningFloor, *arguments: str | Path) -> str:
    ended = await asyncio.to_thread(floor, running.config.parent, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


async def press(running: RunningFloor, client: Client, andon_type: bytes) -> dict[str, Any]:
    """Raise a call; returns the event that tells of it."""
    async with running.device() as device:
        await device.publish(STATION, PRESS % andon_type)
    return await client.until("andon_event", data__andon_type=andon_type.decode(), data__status="open")


async def test_dashboards_are_told_of_a_restore_and_confuse_no_offsets(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with running_floor(tmp_path, mosquitto) as running:
        async with running.dashboard() as board:
            await board.snapshot(subscription_type="andon", target_id="all")
            kept = await press(running, board, b"equipment")
            await tool(running, "journal", "backup", "backup.db")
            lost = await press(running, board, b"material")
            position = await board.until("position")
            while position["streams"]["main"]["offset"] < lost["offset"]:
                position = await board.until("position")
        await running.stop()
        said = await tool(running, "journal", "restore", "backup.db", "--replace")
        assert "in the new epoch" in said
        await running.start()
        async with running.dashboard() as board:
            since = position["streams"]
            await board.send({"type": "resume", "subscriptions": [ANDON], "since": since})
            resumed = await board.until("resumed")
            assert resumed["streams"] == {"main": {"recovered": False}}
            await board.until("snapshot_end", id="a")
            seen = [frame for frame in board.frames if frame["type"] == "andon_event"]
            assert [frame["id"] for frame in seen] == [kept["id"]], "as it was at the backup"
            again = await press(running, board, b"quality")
            assert again["epoch"] != lost["epoch"]
            epochs = json.loads(await tool(running, "journal", "stats", "--json"))["epochs"]
            assert epochs[-1]["first_offset"] <= lost["offset"], "an offset that names something else now"
            assert again["id"] != lost["id"]
            position = await board.until("position")
        async with running.dashboard() as board:
            await board.send({"type": "resume", "subscriptions": [ANDON], "since": since})
            assert (await board.until("resumed"))["streams"] == {"main": {"recovered": False}}, "however late it comes"
            await board.send({"type": "resume", "subscriptions": [ANDON], "since": position["streams"]})
            assert (await board.until("resumed"))["streams"] == {"main": {"recovered": True}}
        assert "is intact" in await tool(running, "journal", "verify")


async def test_a_front_apart_stays_through_a_restore_and_tells_its_dashboards(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with split_floor(tmp_path, mosquitto) as split:
        pipeline = split.pipeline
        async with split.front.dashboard() as board:
            await board.snapshot(subscription_type="andon", target_id="all")
            kept = await press(pipeline, board, b"equipment")
            await tool(pipeline, "journal", "backup", "backup.db")
            lost = await press(pipeline, board, b"material")
            since = {"main": {"epoch": lost["epoch"], "offset": lost["offset"]}}
            await pipeline.stop()
            await tool(pipeline, "journal", "restore", "backup.db", "--replace")
            await pipeline.start()
            with pytest.raises(websockets.ConnectionClosed, match="1012"):
                await board.until("nothing more", seconds=30)
        await split.front.ready()
        async with split.front.dashboard() as board:
            await board.send({"type": "resume", "subscriptions": [ANDON], "since": since})
            assert (await board.until("resumed"))["streams"] == {"main": {"recovered": False}}
            await board.until("snapshot_end", id="a")
            seen = [frame for frame in board.frames if frame["type"] == "andon_event"]
            assert [frame["id"] for frame in seen] == [kept["id"]]
            new = await press(pipeline, board, b"quality")
            assert new["epoch"] != lost["epoch"]
