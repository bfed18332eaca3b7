"""protocol.md, «Close codes»: every close code that a client can bring about, at a front with small limits.

4403 is in tests/system/test_revocation.py.
"""

import asyncio
import itertools
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.bridge_process import bridge_process
from tests.support.brokers import RunningBroker
from tests.support.dashboard import PATIENCE
from tests.support.socket_dashboard import connected, dashboard, http
from tests.support.tokens import token

JOBS = "floor/v1/report/plant1/packing/L2/Andon-L2/job"
JOB = {"action": "assign", "product": "p", "target_quantity": 5, "assigned_to": "olga"}
SMALL = {
    "FLOOR_WEB__AUTH_TIMEOUT_SECONDS": "0.5",
    "FLOOR_WEB__MAX_CONNECTIONS_PER_USER": "2",
    "FLOOR_WEB__MAX_SUBSCRIPTIONS": "3",
    "FLOOR_WEB__MAX_FRAMES_PER_SECOND": "20",
    "FLOOR_WEB__MAX_FRAME_BYTES": "4096",
}


async def test_a_connection_ends_as_the_table_states(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto, environment=SMALL) as bridge:
        for proof, code in [
            ("a.b.c", 1008),
            (token(iss="another"), 1008),
            (token(typ="refresh"), 1008),
            (token(token_use="refresh"), 1008),
            (token(exp=None), 1008),
            (token(ttl=-1), 4401),
            (token(nbf=time.time() + 3_600), 4425),
        ]:
            async with connected(bridge.port) as board:
                await board.send("auth", token=proof)
                assert (await board.closed())[0] == code
            async with connected(bridge.port, additional_headers={"Authorization": f"Bearer {proof}"}) as board:
                assert (await board.closed())[0] == code

        async with connected(bridge.port) as board:
            await board.send("subscribe", subscription_type="line")
            assert (await board.receive("error"))["code"] == "UNAUTHENTICATED"
            assert (await board.closed())[0] == 1008
        async with connected(bridge.port) as board:
            assert (await board.closed())[0] == 4408
        async with dashboard(bridge.port) as board:
            await board.send("ping", timestamp="x" * 5_000)
            assert (await board.closed())[0] == 1009
        async with dashboard(bridge.port) as board:
            await board.disconnect()
            assert board.socket.close_code == 1000

        async with dashboard(bridge.port), dashboard(bridge.port), connected(bridge.port) as third:
            await third.send("auth", token=token())
            assert (await third.closed())[0] == 4429
            async with dashboard(bridge.port, token(user="mia")) as other:
                await other.ask("ping", "pong")


async def statistics(port: int) -> Any:
    return (await http(port, "/ws/health", token())).data


async def test_a_token_to_the_end_of_time_is_accepted_everywhere_and_leaves_no_slot_taken(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    proof, environment = token(exp=253_402_300_799), {**SMALL, "FLOOR_TOKEN__LEEWAY_SECONDS": "1"}
    header = {"Authorization": f"Bearer {proof}"}
    async with bridge_process(tmp_path, mosquitto, environment=environment) as bridge:
        for _ in range(5):
            async with dashboard(bridge.port, proof) as board:
                assert board.frames[0]["expires_at"] == "9999-12-31T23:59:59.999Z"
            async with connected(bridge.port, additional_headers=header) as board:
                await board.ask("ping", "pong")
            assert (await http(bridge.port, "/api/snapshot", proof)).status == 200
        now = await statistics(bridge.port)
        async with asyncio.timeout(PATIENCE):
            while now["connections"]:
                now = await statistics(bridge.port)
        assert (now["users"], now["faults"]) == (0, 0)
        async with dashboard(bridge.port, proof), dashboard(bridge.port, proof):
            assert "Traceback" not in bridge.log()


async def test_too_much_is_an_error_first_and_4429_then(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto, environment=SMALL) as bridge, dashboard(bridge.port) as board:
        for name in "abc":
            await board.ask("subscribe", "subscription_confirmed", id=name, subscription_type="line")
        error = await board.ask("subscribe", "error", id="d", subscription_type="line")
        assert (error["code"], error["id"]) == ("LIMIT_EXCEEDED", "d")
        await board.ask("subscribe", "subscription_confirmed", id="a", subscription_type="andon")
        for _ in range(200):
            await board.send("ping")
        assert (await board.receive("error"))["code"] == "RATE_LIMITED"
        assert (await board.closed())[0] == 4429


async def test_an_expiring_token_is_announced_and_then_closes_the_connection(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, dashboard(bridge.port, token(ttl=3)) as board:
        loop = asyncio.get_running_loop()
        admitted = loop.time()
        expiring = await board.receive("expiring")
        assert expiring["expires_at"] == board.frames[0]["expires_at"]
        assert (await board.closed())[0] == 4401
        assert loop.time() - admitted < 4


async def test_a_dashboard_that_takes_nothing_is_ended_and_delays_no_other(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    patience = {"FLOOR_WEB__STALL_SECONDS": "1.5", "FLOOR_WEB__MAX_FRAMES_PER_SECOND": "1000"}
    async with bridge_process(tmp_path, mosquitto, environment=patience) as bridge, bridge.device() as device:
        async with dashboard(bridge.port) as board:
            await board.snapshot(id="s", subscription_type="job")
            for number in range(200):
                await device.publish(JOBS, json.dumps({**JOB, "job_id": f"J{number}"}).encode())
            await board.receive("job_assigned", subject="J199")
        async with dashboard(bridge.port, narrow=True) as board, dashboard(bridge.port) as other:
            await board.ask("subscribe", "subscription_confirmed", subscription_type="job", snapshot=False)
            for number in range(90):
                await board.send("subscribe", id=f"x{number}", subscription_type="job")
            # A dashboard that takes nothing falls behind what is committed, until it is given up.
            late = itertools.count(200)
            most_behind = 0
            async with asyncio.timeout(PATIENCE):
                while (now := await statistics(bridge.port))["connections"] == 2:
                    most_behind = max(most_behind, now["events_behind"])
                    if not now["events_behind"]:
                        await device.publish(JOBS, json.dumps({**JOB, "job_id": f"J{next(late)}"}).encode())
                    await other.ask("ping", "pong")
            assert most_behind > 0
            assert (await board.closed())[0] == 4008


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_states_when_to_reconnect_and_a_resume_has_no_gap(
    tmp_path: Path, mosquitto: RunningBroker, number: signal.Signals
) -> None:
    body = {"id": "j", "subscription_type": "job", "target_id": "line:L2"}
    async with bridge_process(tmp_path, mosquitto) as bridge, bridge.device() as device:

        async def assign(name: str) -> None:
            await device.publish(JOBS, json.dumps({**JOB, "job_id": name}).encode())

        async with dashboard(bridge.port) as board:
            await board.snapshot(**body)
            await assign("before")
            first = await board.receive("job_assigned")
            position: Any = None
            while position is None or position["streams"]["main"]["offset"] < first["offset"]:
                position = await board.receive("position")
            await assign("unseen")
            assert await bridge.stop(number) == 0
            code, reason = await board.closed()
            assert code == 1012
            assert json.loads(reason)["retry_after"] >= 0
        subjects = {committed["subject"] for committed in board.events}
        await bridge.start()
        await assign("after")
        async with dashboard(bridge.port) as board:
            resumed = await board.ask("resume", "resumed", subscriptions=[body], since=position["streams"])
            assert resumed["streams"] == {"main": {"recovered": True}}
            while "after" not in subjects:
                event = await board.receive_event()
                subjects.add(event["subject"])
            assert subjects == {"before", "unseen", "after"}
            offsets = [committed["offset"] for committed in board.events]
            assert offsets == sorted(set(offsets))
