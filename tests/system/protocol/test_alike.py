"""What does not exist and what is not granted are answered alike: the same bytes, and equally fast."""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any, Final

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.dashboard import Frame
from tests.support.socket_dashboard import SocketDashboard, dashboard, http
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ: Final = ["plant1/packing/L1/Bagger-1/#"]
PROOF: Final = token(user="eve", roles=(), grants={"read": READ, "command": ["plant1/packing/L1/Bagger-1/+"]})
BOARDS: Final = 3
ANSWERS: Final = 60  # of each
CHANCE: Final = (0.25, 0.75)  # of one being slower than the other: 4.7 standard deviations about a half

Request = Mapping[str, Any]


def command(action: str, line: str, **fields: str) -> Request:
    return {"type": "command", "action": action, "line_id": line, **fields}


PAIRS: Final[Mapping[str, tuple[Request, ...]]] = {
    "line": tuple(command("andon.raise", line, andon_type="safety") for line in ("L3", "L9")),
    "equipment": tuple(
        command("andon.raise", "L1", andon_type="safety", equipment_code=equipment) for equipment in ("Andon-L1", "X-1")
    ),
    "call": tuple(command("andon.resolve", "L1", call_id=f"L1.call.{number}") for number in (1, 999)),
    "alert": tuple(command("quality.clear", "L3", alert_id=f"L3.alert.{number}") for number in (1, 999)),
}


async def event_pair(bridge: BridgeProcess) -> tuple[Request, Request]:
    """Return an event that is not granted, and one of the same epoch that does not exist."""
    async with dashboard(bridge.port) as board:
        [hidden, *_] = await board.snapshot(id="s", subscription_type="andon", target_id="L3")
    stream, epoch, _ = hidden["id"].split(":")
    ids = (hidden["id"], f"{stream}:{epoch}:{10**9}")
    return {"type": "acknowledge", "event_id": ids[0]}, {"type": "acknowledge", "event_id": ids[1]}


async def timed(board: SocketDashboard, name: str, request: Request) -> tuple[float, Frame]:
    start = perf_counter()
    await board.send({**request, "id": name})
    await board.until(lambda: any(frame.get("id") == name for frame in board.frames))
    seconds = perf_counter() - start
    answer = next(frame for frame in board.frames if frame.get("id") == name)
    return seconds, {key: value for key, value in answer.items() if key != "id"}


def chance_of_slower(one: list[float], other: list[float]) -> float:
    return sum(a > b for a in one for b in other) / (len(one) * len(other))


@pytest.mark.parametrize("name", [*PAIRS, "event"])
async def test_unknown_and_not_granted_are_the_same_answer_in_the_same_time(
    busy_bridge: BridgeProcess, name: str
) -> None:
    pair = await event_pair(busy_bridge) if name == "event" else PAIRS[name]
    order = [number % 2 for number in range(2 * ANSWERS)]
    random.Random(name).shuffle(order)
    times: tuple[list[float], list[float]] = ([], [])
    answers: list[Frame] = []

    async def ask(board: SocketDashboard, asked: list[int]) -> None:
        for number, which in enumerate(asked):
            seconds, answer = await timed(board, f"{name}-{id(board)}-{number}", pair[which])
            times[which].append(seconds)
            answers.append(answer)

    async with AsyncExitStack() as stack:
        boards = [await stack.enter_async_context(dashboard(busy_bridge.port, PROOF)) for _ in range(BOARDS)]
        await asyncio.gather(*(ask(board, order[start::BOARDS]) for start, board in enumerate(boards)))
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1
    assert CHANCE[0] < chance_of_slower(*times) < CHANCE[1]


@pytest.mark.parametrize("name", PAIRS)
async def test_over_http_they_are_the_same_too(busy_bridge: BridgeProcess, name: str) -> None:
    answers = [
        await http(busy_bridge.port, "/api/commands", PROOF, {"id": f"{name}-{number}", **request})
        for number, request in enumerate(PAIRS[name])
    ]
    bodies = [{key: value for key, value in answer.data.items() if key != "id"} for answer in answers]
    assert bodies[0] == bodies[1]
    assert answers[0].status == answers[1].status
