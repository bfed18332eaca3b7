"""From a device's message to an authorized dashboard, and back from a dashboard's action to the floor."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from tests.support.bridge_process import ROOT, BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, free_port
from tests.support.tokens import token

STATION = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
PRESS = {"action": "raise", "andon_type": "equipment", "operator": "cem", "description": "noise"}


async def press(bridge: BridgeProcess, **fields: object) -> None:
    async with bridge.device() as device:
        await device.publish(STATION, json.dumps({**PRESS, **fields}).encode())


async def test_a_press_reaches_a_dashboard_and_its_acknowledgement_the_floor(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, bridge.dashboard() as board:
        await board.snapshot(subscription_type="andon", target_id="L1")
        await press(bridge)
        call = await board.receive("andon_event", data__status="open")
        assert call["data"]["raised_by"] == {"id": "cem", "claimed": True}
        assert call["data"]["description"] == "noise"

        await board.send({"type": "acknowledge", "event_id": call["id"]})
        acknowledged = await board.receive("andon_event", data__status="acknowledged")
        assert acknowledged["revision"] == call["revision"] + 1
        assert acknowledged["data"]["acknowledged_by"] == {"id": "eva"}

        command = {"type": "command", "id": "c1", "action": "andon.resolve", "line_id": "L1"}
        await board.send({**command, "equipment_code": "Andon-L1", "call_id": call["subject"], "notes": "oiled"})
        result = await board.receive("command_result", id="c1")
        assert result["outcome"] == "applied"
        resolved = next(frame for frame in board.frames if frame.get("id") in result["event_ids"])
        assert resolved["data"]["resolution_notes"] == "oiled"
        await board.send({**command, "equipment_code": "Andon-L1", "call_id": call["subject"], "notes": "oiled"})
        again = await board.receive("command_result", id="c1")
        assert again["event_ids"] == result["event_ids"]


async def test_a_viewer_without_grants_for_a_line_is_refused_and_shown_nothing_of_it(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        proof = token(user="olga", roles=("operator",), lines=["L2"])
        async with bridge.dashboard(proof) as board, bridge.dashboard() as admin:
            await board.send({"type": "subscribe", "id": "a", "subscription_type": "andon", "target_id": "L1"})
            assert (await board.receive("error"))["code"] == "FORBIDDEN"
            assert await board.snapshot(subscription_type="line", target_id="all") == []
            await admin.snapshot(subscription_type="andon")
            await press(bridge)
            call = await admin.receive("andon_event")
            await board.send({"type": "acknowledge", "event_id": call["id"]})
            unreadable = await board.receive("error")
            await board.send({"type": "acknowledge", "event_id": f"main:{call['epoch']}:999999"})
            unknown = await board.receive("error")
            assert (unreadable["code"], unreadable["message"]) == (unknown["code"], unknown["message"])
            await board.receive("position")
        assert not [frame for frame in board.frames if "offset" in frame]


async def test_kill_9_loses_no_open_call_no_job_and_no_count(tmp_path: Path, mosquitto: RunningBroker) -> None:
    counts = "floor/v1/report/plant1/packing/L1/Bagger-1/counts"
    job = "floor/v1/report/plant1/packing/L1/Andon-L1/job"
    async with bridge_process(tmp_path, mosquitto) as bridge:
        async with bridge.dashboard() as board, bridge.device() as device:
            await board.snapshot(subscription_type="line", target_id="L1")
            for action in ("assign", "start"):
                body = {"action": action, "job_id": "J1", "product": "bag-250g", "target_quantity": 500}
                await device.publish(job, json.dumps(body).encode())
            await board.receive("job_started")
            await device.publish(counts, b'{"total": 100, "good": 100, "reject": 0}')
            await device.publish(STATION, json.dumps(PRESS).encode())
            call = await board.receive("andon_event", data__status="open")
            await bridge.stop(signal.SIGKILL)
            # while the bridge is down the broker queues the reports
            await device.publish(counts, b'{"total": 107, "good": 107, "reject": 0}')
            await device.publish(STATION, json.dumps({**PRESS, "andon_type": "quality"}).encode())
        await bridge.start()
        async with bridge.dashboard() as board:
            current = {
                frame["subject"]: frame for frame in await board.snapshot(subscription_type="line", target_id="L1")
            }
            assert current[call["subject"]] == call, "the open call, byte for byte"
            assert current["J1"]["data"]["status"] == "in_progress"
            if "L1.call.2" not in current:
                await board.receive("andon_event", subject="L1.call.2")
            counted = [frame for frame in board.frames if frame["type"] == "production_update"]
            while not counted or counted[-1]["data"]["total_count"] < 7:
                counted.append(await board.receive("production_update", equipment_code="Bagger-1"))
            assert counted[-1]["data"]["total_count"] == 7
        assert await bridge.stop() == 0


async def test_a_dashboard_resumes_over_a_restart_without_a_gap_or_a_double(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        async with bridge.dashboard() as board:
            await board.snapshot(subscription_type="andon")
            await press(bridge)
            first = await board.receive("andon_event")
            position = await board.receive("position")
        while position["streams"]["main"]["offset"] < first["offset"]:
            position = await board.receive("position")
        await press(bridge, action="acknowledge")
        assert await bridge.stop() == 0
        await bridge.start()
        await press(bridge, action="resolve")
        async with bridge.dashboard() as board:
            body = {"id": "s", "subscription_type": "andon"}
            await board.send({"type": "resume", "subscriptions": [body], "since": position["streams"]})
            resumed = await board.receive("resumed")
            assert resumed["streams"]["main"]["recovered"]
            await board.receive("andon_event", data__status="resolved")
            statuses = [frame["data"]["status"] for frame in board.frames if frame["type"] == "andon_event"]
            assert statuses == ["acknowledged", "resolved"]


async def test_a_lost_broker_is_reported_and_its_return_too(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, bridge.dashboard() as board:
        await board.receive("link", broker=True)
        mosquitto.stop()
        await board.receive("link", broker=False)
        mosquitto.start()
        await board.receive("link", broker=True)
        await board.snapshot(subscription_type="andon")
        await press(bridge)
        await board.receive("andon_event")


async def test_sigterm_states_when_to_reconnect(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, bridge.dashboard() as board:
        assert await bridge.stop() == 0
        code, reason = await board.closed()
        assert code == 1012
        assert json.loads(reason)["retry_after"] >= 0


async def test_a_second_bridge_for_the_same_journal_refuses(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "run", "--config", str(bridge.config)),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "FLOOR_WEB__PORT": str(free_port())},
        )
        _, output = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 1
        assert "journal.db" in output.decode()
        assert "Traceback" not in output.decode()
        async with bridge.dashboard() as board:
            await board.snapshot(subscription_type="andon")
