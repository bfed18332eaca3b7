"""protocol.md, «Order of delivery»: slow dashboards, and those that subscribe while much is going on."""

import asyncio
import json
from pathlib import Path

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker
from tests.support.dashboard import PATIENCE, Frame
from tests.support.socket_dashboard import SocketDashboard, dashboard, http
from tests.support.tokens import token

REPORT = "floor/v1/report/plant1"
JOB = {"action": "assign", "product": "p", "target_quantity": 5, "assigned_to": "olga"}
COUNT = 150
MANY_FRAMES = {"FLOOR_WEB__MAX_FRAMES_PER_SECOND": "1000"}


async def burst(bridge: BridgeProcess) -> None:
    """As many changes of a machine's state as jobs at L2, in turn; a job is the last."""
    async with bridge.device() as device:
        for number in range(COUNT):
            state = json.dumps({"packml": {"dialect": "tr88", "state": (6, 9)[number % 2]}})
            await device.publish(f"{REPORT}/packing/L2/Packer-2/state", state.encode())
            job = json.dumps({**JOB, "job_id": f"burst-{number}"})
            await device.publish(f"{REPORT}/packing/L2/Andon-L2/job", job.encode())


def jobs_of(board: SocketDashboard) -> list[str]:
    return [event["subject"] for event in board.events if event["subject"].startswith("burst")]


def changes_of(board: SocketDashboard) -> list[Frame]:
    return [event for event in board.events if event["type"] == "line_status_update" and event["line_id"] == "L2"]


async def read_to_the_end_of(board: SocketDashboard, last: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await board.receive("position"))["streams"]["main"]["offset"] < last:
            pass


async def test_a_slow_dashboard_receives_every_alarm_once_in_order_and_the_conflated_counts(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto, environment=MANY_FRAMES) as bridge, dashboard(bridge.port) as quick:
        await quick.snapshot(id="q", subscription_type="line")
        async with bridge.device() as device:
            for number in range(200):
                job = json.dumps({**JOB, "job_id": f"J{number}"})
                await device.publish(f"{REPORT}/assembly/L3/Andon-L3-End/job", job.encode())
        await quick.receive("job_assigned", subject="J199")
        async with dashboard(bridge.port, narrow=True) as board:
            await board.ask("subscribe", "subscription_confirmed", subscription_type="line", snapshot=False)
            # More than fits between the two ends: from here on it is the front that has to wait.
            for _ in range(200):
                await board.send("subscribe", id="x", subscription_type="job", target_id="line:L3")
            await burst(bridge)
            await quick.receive("job_assigned", subject=f"burst-{COUNT - 1}")
            last = quick.events[-1]["offset"]
            await read_to_the_end_of(board, last)
            await read_to_the_end_of(quick, last)
            assert jobs_of(board) == [f"burst-{number}" for number in range(COUNT)]
            conflated = [frame["counts"] for frame in board.frames if frame["type"] == "conflated"]
            counted = sum(counts["line_status_update"] for counts in conflated)
            states = changes_of(board)
            changes = changes_of(quick)
            assert counted > 0
            assert all(counts.keys() == {"line_status_update"} for counts in conflated)
            assert len(states) + counted >= len(changes)
            newest = {change["equipment_code"]: change for change in changes}
            assert {state["equipment_code"]: state for state in states} == newest
            health = (await http(bridge.port, "/ws/health", token())).data
            assert (health["catching_up"], health["events_behind"]) == (0, 0)
            assert health["ledger"]["conflated"]["line_status_update"] >= counted


async def test_a_snapshot_in_a_burst_and_what_follows_it_are_all_and_nothing_twice(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, dashboard(bridge.port) as board:
        work = asyncio.create_task(burst(bridge), name="burst")
        names: list[str] = []
        while not work.done():
            name = str(len(names) % 50)
            names.append(name)
            events = await board.snapshot(id=name, subscription_type="job", target_id="line:L2")
            begin = next(frame for frame in reversed(board.frames) if frame["type"] == "snapshot_begin")
            at = begin["positions"]["main"]["offset"]
            assert all(event["offset"] <= at for event in events)
            # An overlapping subscription that ends takes nothing from the others.
            if len(names) > 1:
                await board.ask("unsubscribe", "unsubscription_confirmed", id=names[-2])
            async with dashboard(bridge.port) as fresh:
                events = await fresh.snapshot(id="f", subscription_type="job", target_id="line:L2")
                at = fresh.frames[[frame["type"] for frame in fresh.frames].index("snapshot_begin")]
                offset = at["positions"]["main"]["offset"]
                await fresh.receive("position")
                live = fresh.events[len(events) :]
                assert all(event["offset"] > offset for event in live), "what follows is later than the snapshot"
                subjects = jobs_of(fresh)
                assert subjects == [f"burst-{number}" for number in range(len(subjects))], "no gap and no double"
        await work
        async with asyncio.timeout(PATIENCE):
            while len(set(jobs_of(board))) < COUNT:
                await board.read()
