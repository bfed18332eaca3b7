"""protocol.md frame by frame: answers to every request, and unsolicited frames."""

import asyncio
import json
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.dashboard import Frame, is_event
from tests.support.socket_dashboard import SocketDashboard, connected, dashboard, http
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBSCRIBE = {"type": "subscribe", "id": "x", "subscription_type": "line"}
RAISE = {"action": "andon.raise", "line_id": "L2", "equipment_code": "Andon-L2"}


async def commanded(board: SocketDashboard, name: str, **fields: object) -> Frame:
    await board.send("command", id=name, **fields)
    return await board.receive("command_result", id=name)


async def test_auth_ok_states_user_expiry_and_grants(busy_bridge: BridgeProcess) -> None:
    async with connected(busy_bridge.port) as board:
        proof = token(user="olga", roles=("operator",), lines=["L3"], exp=4_000_000_000)
        answer = await board.ask("auth", "auth_ok", token=proof)
        assert (answer["user_id"], answer["roles"], answer["simulated"]) == ("olga", ["operator"], True)
        assert answer["read"] == ["+/+/L3/#"]
        assert answer["command"] == ["+/+/L3/#"]
        assert answer["expires_at"] == "2096-10-02T07:06:40.000Z"
        assert datetime.fromisoformat(answer["server_time"]).tzinfo is not None
        assert answer["streams"].keys() == {"main"}
        assert answer["streams"]["main"].keys() == {"epoch", "offset"}


@pytest.mark.parametrize(
    "options",
    [
        {"additional_headers": {"Authorization": f"Bearer {token()}"}},
        {"subprotocols": ["floor.v1", f"bearer.{token()}"]},
    ],
    ids=["header", "subprotocol"],
)
async def test_a_dashboard_with_a_handshake_token_receives_nothing_before_the_first_answer(
    busy_bridge: BridgeProcess, options: Any
) -> None:
    async with connected(busy_bridge.port, **options) as board:
        assert board.socket.subprotocol == ("floor.v1" if "subprotocols" in options else None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(board.read(), 0.7)
        await board.ask("ping", "pong")
        assert [frame["type"] for frame in board.frames] == ["pong"]
        link = await board.receive("link")
        assert link["broker"]
        assert link["streams"]["main"].keys() == {"live", "last_seen", "offset"}
        assert link["streams"]["main"]["live"]


@pytest.mark.parametrize("kind", ["ping", "heartbeat"])
@pytest.mark.parametrize("stamp", [None, 7, 1.5, "then"])
async def test_a_ping_is_answered(busy_bridge: BridgeProcess, kind: str, stamp: object) -> None:
    async with dashboard(busy_bridge.port) as board:
        pong = await board.ask(kind, "pong", **({} if stamp is None else {"timestamp": stamp}))
        assert pong.get("timestamp") == stamp
        assert pong["server_time"].endswith("Z")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "INVALID_JSON"),
        ('{"type":"ping","type":"ping"}', "INVALID_JSON"),
        ('{"type":"ping","timestamp":NaN}', "INVALID_JSON"),
        (f'{{"type":"ping","timestamp":[{"[]," * 10_000}0]}}', "INVALID_JSON"),
        ("[]", "INVALID_MESSAGE"),
        ('{"type":7}', "INVALID_MESSAGE"),
        ('{"type":"dance","id":"x"}', "UNKNOWN_TYPE"),
        (json.dumps({**SUBSCRIBE, "strict": "yes"}), "INVALID_MESSAGE"),
        (json.dumps({**SUBSCRIBE, "subscription_type": "lines"}), "UNKNOWN_SUBSCRIPTION_TYPE"),
        (json.dumps({**SUBSCRIBE, "target_id": ""}), "MISSING_TARGET_ID"),
        (json.dumps({**SUBSCRIBE, "target_id": None}), "MISSING_TARGET_ID"),
        (json.dumps({**SUBSCRIBE, "target_id": []}), "MISSING_TARGET_ID"),
        (json.dumps({**SUBSCRIBE, "target_id": ["L1"] * 101}), "LIMIT_EXCEEDED"),
        (json.dumps({**SUBSCRIBE, "target_id": "me"}), "INVALID_MESSAGE"),
        (json.dumps({**SUBSCRIBE, "target_id": "a/+/#"}), "INVALID_MESSAGE"),
        ('{"type":"subscribe","id":"x","mqtt_filter":"a/#/b"}', "INVALID_MESSAGE"),
        ('{"type":"subscribe","id":"x","mqtt_filter":"$SYS/#"}', "FORBIDDEN"),
        ('{"type":"unsubscribe","id":"x"}', "INVALID_MESSAGE"),
        ('{"type":"options","batch_ms":1001}', "INVALID_MESSAGE"),
        ('{"type":"resume","subscriptions":[],"since":{"main":{"epoch":"x","offset":-1}}}', "INVALID_MESSAGE"),
        ('{"type":"command","id":"x","action":"andon.dance","line_id":"L1"}', "INVALID_MESSAGE"),
        ('{"type":"command","id":"x","action":"andon.raise","line_id":"L1"}', "INVALID_MESSAGE"),
        ('{"type":"command","id":"x","action":"changeover.complete","line_id":"L9"}', "UNKNOWN_PLACE"),
        ('{"type":"acknowledge","event_id":"main:x:1","id":"x"}', "FORBIDDEN"),
        ('{"type":"auth","token":"a.b.c"}', "UNAUTHENTICATED"),
    ],
)
async def test_a_wrong_frame_is_an_error_and_the_connection_stays_open(
    busy_bridge: BridgeProcess, text: str, code: str
) -> None:
    async with dashboard(busy_bridge.port) as board:
        await board.send_text(text)
        error = await board.receive("error")
        assert error["code"] == code
        assert error["message"]
        if '"id": "x"' in text or '"id":"x"' in text:
            assert error["id"] == "x"
        await board.ask("ping", "pong", timestamp=1, unknown_field=[])


async def test_a_batch_is_an_array_and_an_alarm_does_not_wait_for_it(busy_bridge: BridgeProcess) -> None:
    async with dashboard(busy_bridge.port) as board:
        in_force = await board.ask("options", "options", batch=True, batch_ms=1000)
        assert (in_force["batch"], in_force["batch_ms"]) == (True, 1000)
        await board.snapshot(id="s", subscription_type="andon", target_id="L2")
        await board.ask("ping", "pong")
        began = len(board.texts)
        loop = asyncio.get_running_loop()
        published_at = loop.time()
        result = await commanded(board, "batched", **RAISE, andon_type="quality")
        while result["event_ids"][0] not in [frame.get("id") for frame in board.frames]:
            await board.read()
        assert loop.time() - published_at < 0.9, "an alarm does not wait for batch_ms"
        assert all(isinstance(json.loads(text), list) for text in board.texts[began:])
        assert not (await board.ask("options", "options", batch=False))["batch"]
        await board.ask("ping", "pong")
        assert isinstance(json.loads(board.texts[-1]), dict)


async def test_a_position_comes_after_events_once_a_second_and_every_five(busy_bridge: BridgeProcess) -> None:
    async with dashboard(busy_bridge.port) as board:
        loop = asyncio.get_running_loop()
        await board.snapshot(id="s", subscription_type="changeover", target_id="L4")  # where nothing happens
        at = []
        for _ in range(3):
            position = await board.receive("position")
            at.append(loop.time())
            assert position["streams"]["main"].keys() == {"epoch", "offset"}
        assert all(0.9 < later - former < 5.8 for former, later in pairwise(at))
        assert at[2] - at[1] > 4, "nothing was flushed, so there is no hurry"


async def test_a_resume_replays_once_over_the_union_or_states_that_it_cannot(busy_bridge: BridgeProcess) -> None:
    async with dashboard(busy_bridge.port) as board:
        answer = await board.snapshot(id="s", subscription_type="andon", target_id="L1")
        epoch, offset = answer[0]["epoch"], answer[0]["offset"] - 1
    bodies = [
        {"id": "a", "subscription_type": "andon", "target_id": "L1"},
        {"id": "l", "subscription_type": "line", "target_id": "L1", "filters": {"event_types": ["andon_event"]}},
    ]
    async with dashboard(busy_bridge.port) as board:
        since = {"main": {"epoch": epoch, "offset": offset}, "other": {"epoch": "e", "offset": 1}}
        resumed = await board.ask("resume", "resumed", subscriptions=bodies, since=since)
        assert [subscription["id"] for subscription in resumed["subscriptions"]] == ["a", "l"]
        assert resumed["streams"] == {"main": {"recovered": True}, "other": {"recovered": False}}
        await board.receive("position")
        offsets = [event["offset"] for event in board.events]
        assert offsets == sorted(set(offsets)), "once, in order"
        assert offsets[0] == offset + 1
        assert not [frame for frame in board.frames if frame["type"] == "snapshot_begin"]
    for wrong in ({"epoch": "0" * len(epoch), "offset": offset}, {"epoch": epoch, "offset": 10**9}):
        async with dashboard(busy_bridge.port) as board:
            await board.send("resume", subscriptions=bodies, since={"main": wrong})
            resumed = await board.receive("resumed")
            assert resumed["streams"] == {"main": {"recovered": False}}
            assert await board.receive_snapshot("a") == answer
            assert await board.receive_snapshot("l")


async def test_a_new_token_ends_and_begins_in_place(busy_bridge: BridgeProcess) -> None:
    wide, narrow = (
        token(user="mia", roles=("engineer",), lines=["L1", "L3"]),
        token(user="mia", roles=("engineer",), lines=["L3"]),
    )
    async with dashboard(busy_bridge.port, wide) as board:
        await board.snapshot(id="s", subscription_type="andon")
        assert (await board.ask("auth", "auth_ok", token=narrow))["read"] == ["+/+/L3/#"]
        assert (await board.receive("revoked"))["filters"] == ["+/+/L1/+/andon/#"]
        assert {event["line_id"] for event in await board.snapshot(id="t", subscription_type="andon")} == {"L3"}
        await board.ask("auth", "auth_ok", token=wide)
        assert "+/+/L1/+/andon/#" in (await board.receive("widened"))["filters"]
        assert {event["line_id"] for event in await board.receive_snapshot("s")} == {"L1", "L3"}
        other = await board.ask("auth", "error", token=token(user="eva"))
        assert other["code"] == "FORBIDDEN"
        await board.ask("ping", "pong")


async def test_a_command_is_done_once_and_answered_after_its_commit(busy_bridge: BridgeProcess) -> None:
    raised = {**RAISE, "andon_type": "safety"}
    async with dashboard(busy_bridge.port) as board:
        await board.snapshot(id="s", subscription_type="andon", target_id="L2")
        await board.send("command", id="once", **raised)
        call = await board.receive("andon_event", data__andon_type="safety")
        result = await board.receive("command_result", id="once")
        assert result["outcome"] == "applied"
        assert call["id"] in result["event_ids"]
        assert call["data"]["raised_by"]["id"] == "eva"
        assert await commanded(board, "once", **raised) == result
        over_http = await http(busy_bridge.port, "/api/commands", token(), {"id": "once", **raised})
        assert {"type": "command_result", **over_http.data} == result

        await board.send("acknowledge", event_id=call["id"])
        acknowledged = await board.receive("andon_event", subject=call["subject"], data__status="acknowledged")
        answer = await board.receive("command_result")
        assert answer["outcome"] == "applied"
        assert acknowledged["id"] in answer["event_ids"]
        again = await commanded(board, "again", action="andon.acknowledge", line_id="L2", call_id=call["subject"])
        assert again["outcome"] in ("suppressed", "rejected")
        assert again["reason"]
        unknown = await commanded(board, "none", action="andon.resolve", line_id="L2", call_id="L2.call.999")
        assert (unknown["outcome"], bool(unknown["reason"])) == ("rejected", True)


async def test_an_unreadable_event_answers_like_an_unknown_one(busy_bridge: BridgeProcess) -> None:
    async with dashboard(busy_bridge.port) as admin:
        call = (await admin.snapshot(id="s", subscription_type="andon", target_id="L1"))[0]
    async with dashboard(busy_bridge.port, token(user="mia", roles=("maintenance",), lines=["L3"])) as board:
        unreadable = await board.ask("acknowledge", "error", event_id=call["id"])
        assert unreadable == await board.ask("acknowledge", "error", event_id=f"main:{call['epoch']}:999999")


async def test_an_assignment_reaches_its_assignee_without_a_subscription(busy_bridge: BridgeProcess) -> None:
    job = {"action": "job.assign", "line_id": "L4", "product": "p", "target_quantity": 1, "assigned_to": "ida"}
    async with (
        dashboard(busy_bridge.port, token(user="ida", roles=("operator",), lines=["L4"])) as ida,
        dashboard(busy_bridge.port, token(user="ida", roles=("operator",), lines=["L1"])) as elsewhere,
        dashboard(busy_bridge.port) as board,
    ):
        result = await commanded(board, "for-ida", job_id="for-ida", **job)
        assert (await ida.receive("job_assigned"))["id"] in result["event_ids"]
        await elsewhere.ask("ping", "pong")
        assert not [frame for frame in elsewhere.frames if is_event(frame)]
