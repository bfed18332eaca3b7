"""Authority over commands on a whole bridge: decided where the thing is, whatever the request names."""

from typing import Any, Final

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.dashboard import Frame
from tests.support.socket_dashboard import SocketDashboard, dashboard, http
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINE: Final = "plant1/packing/L1"


def granted_at(equipment: str) -> str:
    """Return the token of a user who reads everything, and commands one machine or station."""
    return token(user=f"at-{equipment}", roles=(), grants={"read": ["#"], "command": [f"{LINE}/{equipment}/+"]})


async def ask(board: SocketDashboard, port: int, proof: str, **command: Any) -> tuple[Frame, Frame]:
    """Send a command over WebSocket, and another over HTTP; return what both answer, without their ids."""
    ids = (f"ws-{len(board.frames)}", f"http-{len(board.frames)}")
    await board.send("command", id=ids[0], **command)
    answer = await _answer(board, ids[0])
    over_http = await http(port, "/api/commands", proof, {"id": ids[1], **command})
    return without_id(answer), without_id({"type": answer["type"], **over_http.data})


async def _answer(board: SocketDashboard, name: str) -> Frame:
    await board.until(lambda: any(frame.get("id") == name for frame in board.frames))
    return next(frame for frame in board.frames if frame.get("id") == name)


def without_id(frame: Frame) -> Frame:
    return {name: value for name, value in frame.items() if name != "id"}


async def test_a_call_is_commanded_where_it_is_whatever_equipment_is_named(busy_bridge: BridgeProcess) -> None:
    proof = granted_at("Bagger-1")
    async with dashboard(busy_bridge.port, proof) as board:
        before = await board.snapshot(id="calls", subscription_type="andon", target_id="equipment:Andon-L1")
        call = next(event for event in before if event["data"]["status"] == "open")
        for action in ("acknowledge", "arrive", "resolve", "cancel", "escalate"):
            for named in ({}, {"equipment_code": "Bagger-1"}, {"equipment_code": "Andon-L1"}):
                command = {"action": f"andon.{action}", "line_id": "L1", **named}
                answers = await ask(board, busy_bridge.port, proof, **command, call_id=call["subject"])
                unknown = await ask(board, busy_bridge.port, proof, **command, call_id="L1.call.999")
                rejected = {"type": "command_result", "outcome": "rejected", "event_ids": [], "reason": "unknown_call"}
                assert [*answers, *unknown] == [rejected] * 4
        refused = await board.ask("acknowledge", "command_result", event_id=call["id"])
        assert (refused["outcome"], refused["reason"]) == ("rejected", "unknown_call")
        after = await board.snapshot(id="calls", subscription_type="andon", target_id="equipment:Andon-L1")
        assert [event["data"]["status"] for event in after if event["subject"] == call["subject"]] == ["open"]

    async with dashboard(busy_bridge.port, granted_at("Andon-L1")) as board:
        body = {"action": "andon.acknowledge", "line_id": "L1", "equipment_code": "Bagger-1"}
        result = await board.ask("command", "command_result", id="k", **body, call_id=call["subject"])
        assert result["outcome"] == "applied"


async def test_an_alert_is_cleared_where_it_is(busy_bridge: BridgeProcess) -> None:
    async with dashboard(busy_bridge.port, granted_at("Andon-L1")) as board:
        alerts = await board.snapshot(subscription_type="quality", target_id="equipment:Bagger-1")
        clear = {"action": "quality.clear", "line_id": "L1", "equipment_code": "Andon-L1"}
        for alert_id in (alerts[0]["subject"], "L1.alert.999"):
            answers = await ask(board, busy_bridge.port, granted_at("Andon-L1"), **clear, alert_id=alert_id)
            assert [answer["reason"] for answer in answers] == ["unknown_alert"] * 2
    async with dashboard(busy_bridge.port, granted_at("Bagger-1")) as board:
        result = await board.ask("command", "command_result", id="k", **clear, alert_id=alerts[0]["subject"])
        assert result["outcome"] == "applied"


@pytest.mark.parametrize(
    "command",
    [
        {"action": "job.start", "job_id": "L1-eva"},
        {"action": "downtime.confirm", "downtime_id": "L1.down.1"},
        {"action": "changeover.complete"},
        {"action": "andon.raise", "andon_type": "safety"},
        {"action": "andon.raise", "andon_type": "safety", "equipment_code": "Andon-L1"},
        {"action": "andon.raise", "andon_type": "safety", "equipment_code": "Nothing-1"},
        {"action": "andon.raise", "andon_type": "safety", "line_id": "L3"},
        {"action": "andon.resolve", "call_id": "L3.call.1", "line_id": "L3"},
        {"action": "andon.resolve", "call_id": "L9.call.1", "line_id": "L9"},
    ],
)
async def test_what_is_not_granted_is_refused_as_if_it_were_not_there(
    busy_bridge: BridgeProcess, command: Frame
) -> None:
    proof = granted_at("Bagger-1")
    async with dashboard(busy_bridge.port, proof) as board:
        named = {} if command["action"] == "andon.raise" else {"equipment_code": "Bagger-1"}  # else it does not count
        answers = await ask(board, busy_bridge.port, proof, **{"line_id": "L1", **named, **command})
        message = f"there is no such line or equipment, or {command['action']} is not granted there"
        assert answers == ({"type": "error", "code": "FORBIDDEN", "message": message},) * 2


async def test_a_line_that_is_not_there_is_unknown_to_who_may_command_everything(busy_bridge: BridgeProcess) -> None:
    raising = {"action": "andon.raise", "andon_type": "safety"}
    async with dashboard(busy_bridge.port) as board:
        for place in ({"line_id": "L9"}, {"line_id": "L1", "equipment_code": "Nothing-1"}):
            answers = await ask(board, busy_bridge.port, token(), **raising, **place)
            assert [answer["code"] for answer in answers] == ["UNKNOWN_PLACE"] * 2
    assert (
        await http(busy_bridge.port, "/api/commands", token(), {"id": "k", **raising, "line_id": "L9"})
    ).status == 404
