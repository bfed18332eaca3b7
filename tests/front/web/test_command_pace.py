"""Pace of a user's commands, over all their dashboards and HTTP together. Over real sockets."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from bridge.front.user_pace import BURST_SECONDS
from bridge.settings.web import WebSettings
from tests.support.front_server import call, served_front
from tests.support.socket_dashboard import SocketDashboard, dashboard
from tests.support.tokens import bearer, token

COMMAND = {"action": "andon.acknowledge", "line_id": "L1", "call_id": "L1.call.1"}
TRIES = 8  # by each way, which is more than the burst


async def answers(board: SocketDashboard, names: list[str]) -> list[Mapping[str, Any]]:
    """Return the answers to these requests."""

    def received() -> list[Mapping[str, Any]]:
        return [frame for frame in board.frames if frame.get("id") in names]

    await board.until(lambda: len(received()) == len(names))
    return received()


async def test_commands_of_a_user_have_a_pace_over_all_ways_together(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with served_front(tmp_path, WebSettings(max_commands_per_second=1)) as served:
        (event,) = served.commit(call())
        async with dashboard(served.port) as first, dashboard(served.port) as second:
            began = loop.time()
            for number in range(TRIES):
                await first.send("command", id=f"c{number}", **COMMAND)
                await second.send("acknowledge", id=f"a{number}", event_id=event.id)
            commands = await answers(first, [f"c{number}" for number in range(TRIES)])
            acknowledges = await answers(second, [f"a{number}" for number in range(TRIES)])
            async with httpx.AsyncClient(base_url=served.http, headers=bearer(), timeout=30) as client:
                bodies = [json.dumps({"id": f"h{number}", **COMMAND}) for number in range(TRIES)]
                posted = await asyncio.gather(*(client.post("/api/commands", content=body) for body in bodies))
            seconds = loop.time() - began
        done = [answer for answer in (*commands, *acknowledges) if answer["type"] == "command_result"]
        refused = [answer for answer in (*commands, *acknowledges) if answer["type"] == "error"]
        assert {answer["code"] for answer in refused} == {"RATE_LIMITED"}
        late = [answer for answer in posted if answer.status_code != 200]
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in late} == {(429, "1")}
        assert [answer.json()["id"] for answer in late] == [
            f"h{number}" for number, answer in enumerate(posted) if answer in late
        ]
        accepted = len(done) + len(posted) - len(late)
        assert BURST_SECONDS <= accepted <= BURST_SECONDS + seconds
        assert len(served.published) == accepted, "what is refused is not sent"

        metrics = (await served.get("/metrics", bearer())).text
        count = len(refused) + len(late)
        assert f'floor_web_refused_total{{bound="max_commands_per_second"}} {count}.0' in metrics.splitlines()

        async with dashboard(served.port, token(user="otto")) as other:
            await other.send("command", id="o", **COMMAND)
            await other.receive("command_result", id="o")
