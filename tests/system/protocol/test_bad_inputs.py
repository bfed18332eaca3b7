"""Thousands of bad inputs to one bridge: no fault, no leak, and an honest dashboard that misses nothing beside them."""

import asyncio
import os
import re
from pathlib import Path
from random import Random
from typing import Final

from tests.support.bad_inputs import KINDS, Tokens
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker
from tests.support.http_requests import Document
from tests.support.raw_http import Answer
from tests.support.rounds import rounds
from tests.support.socket_dashboard import SocketDashboard, http
from tests.support.tokens import token

AT_ONCE: Final = 16
HUNDRED: Final = 100
WARM_UP: Final = 1  # hundred, after which there are no more sockets, and hardly more memory
MORE_MEMORY: Final = 16 * 1024 * 1024
VARIABLE: Final = "BAD_INPUTS_SEED"
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
STATION: Final = "floor/v1/report/plant1/packing/L1/Andon-L1/job"


@rounds(2, faults=20, proof=50)
async def test_bad_inputs_harm_nobody(tmp_path: Path, mosquitto: RunningBroker, rounds: int) -> None:
    seed = int(os.environ.get(VARIABLE, "0")) or Random().getrandbits(32)
    print(f"{VARIABLE}={seed}")  # noqa: T201 - shown where it fails
    chance = Random(seed)
    tokens: Tokens = [None, "a.b.c", token(), token(user="olga", roles=("operator",), lines=["L1"]), token(ttl=-60)]
    hasty = {"FLOOR_WEB__MAX_COMMANDS_PER_SECOND": "1000"}
    async with (
        bridge_process(tmp_path, mosquitto, environment=hasty) as bridge,
        bridge.dashboard(token(user="hans")) as honest,
    ):
        document = (await http(bridge.port, "/openapi.json")).data
        await honest.snapshot(id="honest", subscription_type="job", target_id="all")
        sockets = memory = 0
        for number in range(rounds):
            await send_hundred(bridge.port, document, tokens, chance)
            await confirm(bridge, honest, number)
            if number + 1 == WARM_UP:
                sockets, memory = await settled_sockets(bridge), resident(bridge)
        assert await settled_sockets(bridge) <= sockets
        assert resident(bridge) - memory < MORE_MEMORY
        metrics = (await http(bridge.port, "/metrics", token())).body.decode()
        unaccounted = re.findall(r"^floor_pipeline_unaccounted\{.*\} (.*)$", metrics, re.MULTILINE)
        assert set(unaccounted) == {"0.0"}
    faults = [line for line in bridge.log().splitlines() if re.search(r"error|critical|Traceback", line, re.IGNORECASE)]
    assert faults == []


async def send_hundred(port: int, document: Document, tokens: Tokens, chance: Random) -> None:
    """Send a hundred inputs, some at once; none is answered by a fault of the server."""
    places = asyncio.Semaphore(AT_ONCE)

    async def send_one(own: Random) -> Answer:
        (send,) = own.choices(list(KINDS), list(KINDS.values()))
        async with places:
            answer: Answer = await send(port, document, tokens, own)
        assert answer.status != 500, answer
        return answer

    async with asyncio.TaskGroup() as tasks:
        for _ in range(HUNDRED):
            tasks.create_task(send_one(Random(chance.getrandbits(64))))


async def confirm(bridge: BridgeProcess, honest: SocketDashboard, number: int) -> None:
    """Have a device assign a job, of which the dashboard is told next of all such jobs."""
    report = b'{"action": "assign", "job_id": "honest-%d", "product": "p", "target_quantity": 5}' % number
    async with bridge.device() as device:
        await device.publish(STATION, report)
    while not (event := await honest.receive("job_assigned"))["subject"].startswith("honest-"):
        pass  # of an input
    assert event["subject"] == f"honest-{number}"


async def settled_sockets(bridge: BridgeProcess) -> int:
    """Return the sockets that it has open when only the honest dashboard is connected."""
    async with asyncio.timeout(60):
        while True:
            state = (await http(bridge.port, "/ws/health", token())).data
            if (state["connections"], state["authenticated"], state["users"]) == (1, 1, 1):
                break
            await asyncio.sleep(0.1)
        counts = [open_sockets(bridge)]
        while counts[-3:] != counts[-1:] * 3:  # the last requests' own are still being closed
            await asyncio.sleep(0.1)
            counts.append(open_sockets(bridge))
    return counts[-1]


def open_sockets(bridge: BridgeProcess) -> int:
    targets = (str(entry.readlink()) for entry in Path(f"/proc/{pid_of(bridge)}/fd").iterdir())
    return sum(target.startswith("socket:") for target in targets)


def resident(bridge: BridgeProcess) -> int:
    """Return its memory, in bytes."""
    return int(Path(f"/proc/{pid_of(bridge)}/statm").read_text().split()[1]) * PAGE


def pid_of(bridge: BridgeProcess) -> int:
    assert bridge.process is not None
    return bridge.process.pid
