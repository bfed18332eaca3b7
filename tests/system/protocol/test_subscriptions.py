"""All subscriptions with every form of target, from a client that knows nothing else: protocol.md, «Requests»."""

import json
from typing import Any

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.dashboard import Frame, is_event
from tests.support.socket_dashboard import SocketDashboard, dashboard, http
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVA = token(roles=("admin", "maintenance"))
ENVELOPE = {
    "type", "schema_version", "id", "stream", "epoch", "offset", "site", "area", "line_id", "equipment_code",
    "category", "subject", "priority", "revision", "timestamp", "received_at", "caused_by", "data_quality", "data",
}  # fmt: skip
CATEGORIES = ("production", "oee", "downtime", "andon", "quality", "changeover")
WHERE = "+/+/+/+"
FILTERS: list[tuple[str, Any, list[str]]] = [
    ("line", None, ["#"]),
    ("line", "all", ["#"]),
    ("line", "L1", ["+/+/L1/#"]),
    ("line", "line:L1", ["+/+/L1/#"]),
    ("line", "plant1/packing/L1", ["plant1/packing/L1/#"]),
    ("line", ["L1", "L3"], ["+/+/L1/#", "+/+/L3/#"]),
    ("equipment", None, ["#"]),
    ("equipment", "Bagger-1", ["+/+/+/Bagger-1/#"]),
    ("equipment", "equipment:Bagger-1", ["+/+/+/Bagger-1/#"]),
    ("equipment", ["Bagger-1", "Andon-L1"], ["+/+/+/Bagger-1/#", "+/+/+/Andon-L1/#"]),
    ("job", None, [f"{WHERE}/job/#"]),
    ("job", "L1-eva", [f"{WHERE}/job/+/+/L1-eva"]),
    ("job", "me", [f"{WHERE}/job/#"]),
    *((category, "all", [f"{WHERE}/{category}/#"]) for category in CATEGORIES),
    *((category, "L1", [f"+/+/L1/+/{category}/#"]) for category in CATEGORIES),
    *((category, "line:L3", [f"+/+/L3/+/{category}/#"]) for category in CATEGORIES),
    ("oee", "equipment:Bagger-1", ["+/+/+/Bagger-1/oee/#"]),
    ("andon", "equipment:Andon-L1", ["+/+/+/Andon-L1/andon/#"]),
    ("quality", "plant1/assembly/L3", ["plant1/assembly/L3/+/quality/#"]),
    ("downtime", ["L1", "line:L3"], ["+/+/L1/+/downtime/#", "+/+/L3/+/downtime/#"]),
    ("escalation", None, [f"{WHERE}/escalation/#"]),
    ("escalation", "high", [f"{WHERE}/escalation/+/high/+"]),
    ("escalation", "priority:medium", [f"{WHERE}/escalation/+/medium/+"]),
    ("escalation", "escalation:L1.esc.1", [f"{WHERE}/escalation/+/+/L1.esc.1"]),
    ("escalation", "line:L3", ["+/+/L3/+/escalation/#"]),
    ("escalation", "me", [f"{WHERE}/escalation/#"]),
]


def topic(event: Frame) -> list[str]:
    names = ("site", "area", "line_id", "equipment_code", "category", "type", "priority", "subject")
    return [event[name] or "_" for name in names]


def matches(text: str, levels: list[str]) -> bool:
    """MQTT 5 4.7, for filters of these tests."""
    filter_levels = text.split("/")
    if filter_levels[-1] == "#":
        filter_levels, levels = filter_levels[:-1], levels[: len(filter_levels) - 1]
    return len(filter_levels) == len(levels) and all(
        one in ("+", other) for one, other in zip(filter_levels, levels, strict=True)
    )


def is_mine(event: Frame) -> bool:
    assigned = (event["data"].get("assigned_to") or {}).get("id")
    return assigned == "eva" or "maintenance" in event["data"].get("recipients", [])


async def beside_all(board: SocketDashboard, **body: object) -> tuple[list[Frame], list[Frame], Frame]:
    """All current events and those of a subscription, at one position, and the confirmation of the latter."""
    while True:
        everything = await board.snapshot(id="everything", mqtt_filter="#")
        first = next(frame for frame in reversed(board.frames) if frame["type"] == "snapshot_begin")
        confirmed = await board.ask("subscribe", "subscription_confirmed", id="asked", **body)
        received = await board.receive_snapshot("asked")
        second = next(frame for frame in reversed(board.frames) if frame["type"] == "snapshot_begin")
        if first["positions"] == second["positions"]:
            return everything, received, confirmed


@pytest.mark.parametrize(("kind", "target", "filters"), FILTERS, ids=str)
async def test_a_subscription_is_a_filter(
    busy_bridge: BridgeProcess, kind: str, target: Any, filters: list[str]
) -> None:
    request = {"subscription_type": kind} | ({} if target is None else {"target_id": target})
    async with dashboard(busy_bridge.port, EVA) as board:
        everything, received, confirmed = await beside_all(board, **request)
        assert confirmed["effective"] == filters
        assert not confirmed["narrowed"]
        assert (confirmed["subscription_type"], confirmed["target_id"]) == (kind, target)
        assert confirmed["target"] == target
        wanted = [event for event in everything if any(matches(text, topic(event)) for text in filters)]
        if target == "me":
            wanted = [event for event in wanted if is_mine(event)]
        assert received == wanted
        assert received, "the floor has something of every kind"
        assert all(event.keys() == ENVELOPE for event in received)

        # Whatever its id, a subscription ends by its type and target too.
        body = {"subscription_type": kind} | ({} if target is None else {"target": target})
        ended = await board.ask("unsubscribe", "unsubscription_confirmed", **body)
        assert {**ended, "type": confirmed["type"]} == confirmed


async def test_an_unsubscription_ends_all_of_that_type_and_target_and_nothing_else(busy_bridge: BridgeProcess) -> None:
    async with dashboard(busy_bridge.port) as board:
        for name, target in {"a": "L1", "b": "line:L1", "c": "L3"}.items():
            await board.snapshot(id=name, subscription_type="andon", target_id=target)
        await board.snapshot(subscription_type="andon", target_id="L1")
        await board.send("unsubscribe", subscription_type="andon", target_id="L1")
        ended = [(await board.receive("unsubscription_confirmed"))["id"] for _ in range(3)]
        assert sorted(ended) == ["a", "andon:L1", "b"]
        again = await board.ask("unsubscribe", "error", subscription_type="andon", target_id="L1")
        assert again["code"] == "INVALID_MESSAGE"
        assert (await board.ask("unsubscribe", "unsubscription_confirmed", id="c"))["target_id"] == "L3"


@pytest.mark.parametrize(
    ("mask", "allowed"),
    [
        ({"event_types": ["andon_event", "quality_alert"]}, lambda frame: frame["category"] in ("andon", "quality")),
        ({"priorities": ["high", "critical"]}, lambda frame: frame["priority"] == "high"),
        (
            {"event_types": ["andon_event"], "priorities": ["medium"]},
            lambda frame: (frame["category"], frame["priority"]) == ("andon", "medium"),
        ),
    ],
)
async def test_masks_narrow_beside_the_filter(busy_bridge: BridgeProcess, mask: Frame, allowed: Any) -> None:
    async with dashboard(busy_bridge.port) as board:
        everything, received, confirmed = await beside_all(
            board, subscription_type="line", target_id="L1", mqtt_filter="plant1/#", filters=mask
        )
        assert confirmed["effective"] == ["plant1/+/L1/#"]
        assert received == [event for event in everything if event["line_id"] == "L1" and allowed(event)]
        assert received


async def test_a_narrowed_viewer_is_notified_and_sees_no_more_anywhere(busy_bridge: BridgeProcess) -> None:
    proof = token(user="olga", roles=("operator",), lines=["L3"])
    async with dashboard(busy_bridge.port, proof) as board:
        confirmed = await board.ask("subscribe", "subscription_confirmed", id="s", subscription_type="line")
        assert confirmed["narrowed"]
        assert confirmed["effective"] == ["+/+/L3/#"]
        assert {event["line_id"] for event in await board.receive_snapshot("s")} == {"L3"}
        own_jobs = await board.snapshot(id="m", subscription_type="job", target_id="me")
        assert {event["data"]["assigned_to"]["id"] for event in own_jobs} == {"olga"}
        strict = await board.ask("subscribe", "error", id="t", subscription_type="line", strict=True)
        assert (strict["code"], strict["id"]) == ("FORBIDDEN", "t")
        foreign = await board.ask("subscribe", "error", id="f", subscription_type="andon", target_id="L1")
        assert foreign["code"] == "FORBIDDEN"
        assert matches("+/+/L1/+/andon/#", foreign["detail"]["witness"].split("/"))

        since = {"main": {"epoch": own_jobs[0]["epoch"], "offset": 0}}
        await board.send("resume", subscriptions=[{"id": "r", "subscription_type": "line"}], since=since)
        assert (await board.receive("resumed"))["streams"] == {"main": {"recovered": True}}
        await board.receive("position")
        assert {event["line_id"] for event in board.events} == {"L3"}

    for path in ("/api/snapshot", "/api/events?limit=1000"):
        answer = (await http(busy_bridge.port, path, proof)).data
        assert answer["effective"] == ["+/+/L3/#"]
        assert {event["line_id"] for event in answer["events"]} == {"L3"}
    assert (await http(busy_bridge.port, "/api/events?filter=%2B/%2B/L1/%23", proof)).status == 403


async def test_a_refresh_to_another_role_shows_its_calls_and_no_others(busy_bridge: BridgeProcess) -> None:
    def proof(*roles: str) -> str:
        return token(user="mia", roles=roles, lines=["L1", "L3"])

    async with dashboard(busy_bridge.port, proof("maintenance")) as board:
        before = await board.snapshot(id="mine", subscription_type="escalation", target_id="me")
        assert before
        assert all("maintenance" in event["data"]["recipients"] for event in before)
        await board.ask("auth", "auth_ok", token=proof("material"))
        changes = [await board.receive(kind) for kind in ("widened", "revoked")]
        assert all([change["id"] for change in frame["subscriptions"]] == ["mine"] for frame in changes)
        after = await board.receive_snapshot("mine")
        assert after
        assert all("material" in event["data"]["recipients"] for event in after)
        seen = len(board.types)
        await board.ask("auth", "auth_ok", token=proof("material", "nobody"))
        await board.ask("ping", "pong")
        assert not {"widened", "revoked", "snapshot_begin"} & set(board.types[seen:])


@pytest.mark.parametrize("proof", [token(), token(user="olga", roles=("operator",), lines=["L3"])])
@pytest.mark.parametrize(
    "body",
    [
        {"subscription_type": "line", "target_id": "L3"},
        {"subscription_type": "line"},
        {"subscription_type": "andon", "target_id": "L1"},
        {"mqtt_filter": "plant1/+/L1/#", "filters": {"priorities": ["high"]}},
        {"subscription_type": "line", "strict": True},
    ],
)
async def test_explain_is_what_subscribe_then_does(busy_bridge: BridgeProcess, proof: str, body: Frame) -> None:
    async with dashboard(busy_bridge.port, proof) as board:
        explained = await board.ask("explain", "explained", id="e", **body)
        over_http = (await http(busy_bridge.port, "/api/explain", proof, {"id": "e", **body})).data
        assert {"type": "explained", **over_http} == explained
        await board.send("subscribe", id="e", **body)
        answer = await board.receive("subscription_confirmed" if explained["allowed"] else "error")
        if explained["allowed"]:
            assert (answer["effective"], answer["narrowed"]) == (explained["effective"], explained["narrowed"])
            assert explained["grants"]
        else:
            assert answer["detail"]["witness"] == explained["witness"]


async def test_an_event_is_published_byte_for_byte_as_journalled_and_once(busy_bridge: BridgeProcess) -> None:
    bodies: list[dict[str, Any]] = [
        {"mqtt_filter": "#"},
        {"subscription_type": "job"},
        {"subscription_type": "line", "target_id": "L2"},
    ]
    async with dashboard(busy_bridge.port) as board, busy_bridge.device() as device:
        for number, body in enumerate(bodies):
            await board.ask("subscribe", "subscription_confirmed", id=str(number), snapshot=False, **body)
        job = {"action": "assign", "product": "p", "target_quantity": 5, "assigned_to": "olga"}
        for number in range(50):
            text = json.dumps({**job, "job_id": f"burst-{number}"})
            await device.publish("floor/v1/report/plant1/packing/L2/Andon-L2/job", text.encode())
        await board.receive("job_assigned", subject="burst-49")
        received = [event["offset"] for event in board.events]
        assert received == list(range(received[0], received[-1] + 1)), "no hole, no double"
        cursor = f"{board.events[0]['epoch']}:{received[0] - 1}"
        path = f"/api/events?cursor={cursor}&limit={len(received)}"
        journalled = (await http(busy_bridge.port, path, token())).body
        texts = [text.encode() for text in board.texts if is_event(json.loads(text))]
        assert journalled.startswith(b'{"events":[' + b",".join(texts) + b"],")
