"""What does not exist and what is not granted are answered alike: the same bytes, and equally fast."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from time import perf_counter
from typing import Any, Final

import httpx
import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.dashboard import PATIENCE, Frame
from tests.support.socket_dashboard import SocketDashboard, dashboard
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ: Final = ["plant1/packing/L1/Bagger-1/#"]
PROOF: Final = token(user="eve", roles=(), grants={"read": READ, "command": ["plant1/packing/L1/Bagger-1/+"]})
BOARDS: Final = 3
ANSWERS: Final = 60  # of each
CHANCE: Final = (0.25, 0.75)  # of one being slower than the other: 4.7 standard deviations about a half

Request = Mapping[str, Any]
Ask = Callable[[Request], Awaitable[Frame]]


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


async def ask_board(board: SocketDashboard, request: Request) -> Frame:
    await board.send(dict(request))
    await board.until(lambda: any(frame.get("id") == request["id"] for frame in board.frames))
    return next(frame for frame in board.frames if frame.get("id") == request["id"])


async def ask_over_http(client: httpx.AsyncClient, request: Request) -> Frame:
    answer = await client.post("/api/commands", json=request)
    return {**answer.json(), "status": answer.status_code}


def chance_of_slower(one: list[float], other: list[float]) -> float:
    return sum(a > b for a in one for b in other) / (len(one) * len(other))


async def compare(name: str, pair: Sequence[Request], askers: Sequence[Ask]) -> None:
    """Send both requests many times in random order, shared among the askers, and compare answers and times."""
    order = [number % 2 for number in range(2 * ANSWERS)]
    random.Random(name).shuffle(order)
    times: tuple[list[float], list[float]] = ([], [])
    answers: list[Frame] = []

    async def ask_all(ask: Ask, asked: list[int]) -> None:
        for number, which in enumerate(asked):
            request = {**pair[which], "id": f"{name}-{id(ask)}-{number}"}
            start = perf_counter()
            answer = await ask(request)
            times[which].append(perf_counter() - start)
            answers.append({key: value for key, value in answer.items() if key != "id"})

    await asyncio.gather(*(ask_all(ask, order[start :: len(askers)]) for start, ask in enumerate(askers)))
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1
    assert CHANCE[0] < chance_of_slower(*times) < CHANCE[1]


@pytest.mark.parametrize("name", [*PAIRS, "event"])
async def test_unknown_and_not_granted_are_the_same_answer_in_the_same_time(
    busy_bridge: BridgeProcess, name: str
) -> None:
    pair = await event_pair(busy_bridge) if name == "event" else PAIRS[name]
    async with AsyncExitStack() as stack:
        boards = [await stack.enter_async_context(dashboard(busy_bridge.port, PROOF)) for _ in range(BOARDS)]
        await compare(name, pair, [partial(ask_board, board) for board in boards])


@pytest.mark.parametrize("name", PAIRS)
async def test_over_http_they_are_the_same_in_the_same_time_too(busy_bridge: BridgeProcess, name: str) -> None:
    address, headers = f"http://127.0.0.1:{busy_bridge.port}", {"Authorization": f"Bearer {PROOF}"}
    async with AsyncExitStack() as stack:
        clients = [httpx.AsyncClient(base_url=address, headers=headers, timeout=PATIENCE) for _ in range(BOARDS)]
        for client in clients:
            await stack.enter_async_context(client)
            await client.post("/api/commands", json={})  # it is connected
        await compare(f"http-{name}", PAIRS[name], [partial(ask_over_http, client) for client in clients])
