"""No byte of what is not granted, over every HTTP operation and every frame: its events hold marks that would show."""

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Final

import pytest

from bridge.protocol.client_frames import CLIENT_FRAMES
from tests.support.bridge_process import BridgeProcess
from tests.support.dashboard import Frame
from tests.support.reference_subscription import matches
from tests.support.socket_dashboard import SocketDashboard, dashboard, http
from tests.support.tokens import token

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK: Final = re.compile(rb"CANARY\.(L\d)\.([A-Za-z0-9_-]+)\.(andon|job)")
PLACES: Final = {
    "L1": ("plant1/packing/L1", "Andon-L1", "Bagger-1"),
    "L3": ("plant1/assembly/L3", "Andon-L3-End", "Tester-3"),
}
TYPES: Final = {"andon": "andon_event", "job": "job_assigned"}
READERS: Final[dict[str, list[str]]] = {
    "nothing": [],
    "one line": ["+/+/L1/#"],
    "one machine": ["plant1/packing/L1/Bagger-1/#"],
    "calls of one station": ["+/+/+/Andon-L1/andon/#"],
    "one type": ["+/+/+/+/job/job_assigned/#"],
    "everything": ["#"],
}
"""Viewer -> the filters that are granted."""

WIDE: Final[tuple[Frame, ...]] = (
    {"mqtt_filter": "#"},
    {"subscription_type": "line"},
    {"subscription_type": "andon", "target_id": ["L1", "L3"]},
    {"subscription_type": "job", "target_id": "me"},
    {"subscription_type": "escalation", "target_id": "me"},
    {"subscription_type": "equipment", "target_id": "Tester-3", "filters": {"priorities": ["high", "critical"]}},
)
COMMANDS: Final[tuple[Frame, ...]] = (
    {"id": "c1", "action": "andon.resolve", "line_id": "L3", "call_id": "L3.call.1"},
    {"id": "c2", "action": "job.start", "line_id": "L1", "job_id": "L1-eva"},
    {"id": "c3", "action": "andon.raise", "line_id": "L3", "equipment_code": "Tester-3", "andon_type": "quality"},
)
FILTERS: Final = ("%23", "%2B/%2B/L1/%23", "%2B/%2B/L3/%23", "%2B/%2B/%2B/%2B/job/%23")

_numbers = count()


def reports(number: int) -> Iterator[tuple[str, Frame]]:
    """Yield reports whose events hold a mark with their line, equipment and category; the last is a job of L3."""
    for line, (place, *devices) in PLACES.items():
        for equipment in devices:
            yield f"{place}/{equipment}/andon", {"action": "resolve", "andon_type": "safety"}
            text = f"CANARY.{line}.{equipment}.andon"
            yield f"{place}/{equipment}/andon", {"action": "raise", "andon_type": "safety", "description": text}
        job = f"CANARY.{line}._.job.{number}"
        body = {"action": "assign", "job_id": job, "product": job, "target_quantity": 5, "assigned_to": "somebody"}
        yield f"{place}/{devices[0]}/job", body


async def happen(bridge: BridgeProcess) -> None:
    """Have something marked happen everywhere, and wait until it is committed."""
    number = next(_numbers)
    async with dashboard(bridge.port) as board, bridge.device() as device:
        await board.ask("subscribe", "subscription_confirmed", subscription_type="job", snapshot=False)
        for path, body in reports(number):
            await device.publish(f"floor/v1/report/{path}", json.dumps(body).encode())
        await board.receive("job_assigned", subject=f"CANARY.L3._.job.{number}")


def marks(data: bytes) -> set[tuple[str, ...]]:
    """Return line, equipment and category of each mark."""
    return {tuple(text.decode() for text in found.groups()) for found in MARK.finditer(data)}


def is_granted(mark: tuple[str, ...], grants: list[str]) -> bool:
    line, equipment, category = mark
    topic = f"{PLACES[line][0]}/{equipment}/{category}/{TYPES[category]}/high/x"
    return any(matches(grant, topic) for grant in grants)


async def over_http(port: int, proof: str) -> bytes:
    """Return all that every operation of the OpenAPI document answers, as to a client on another host."""
    answers = []
    for path, operations in (await http(port, "/openapi.json")).data["paths"].items():
        for method, operation in operations.items():
            names = {parameter["name"] for parameter in operation.get("parameters", [])}
            queries = ["", *(f"?{name}={text}" for name in names & {"filter", "mqtt_filter"} for text in FILTERS)]
            for query in queries:
                bodies = (*WIDE, *COMMANDS) if method == "post" else (None,)
                answers += [(await http(port, path + query, proof, body, Via="proxy")).body for body in bodies]
    return b"\n".join(answers)


def frames_of(kind: str, hidden: Frame) -> list[Frame]:
    """Return the fields of frames of a type, which ask for more than is granted."""
    wide = [{"id": f"{kind}-{number}", **body} for number, body in enumerate(WIDE)]
    match kind:
        case "subscribe" | "explain" | "unsubscribe":
            return wide
        case "resume":
            return [{"subscriptions": wide, "since": {"main": {"epoch": hidden["epoch"], "offset": 0}}}]
        case "acknowledge":
            return [{"id": "a", "event_id": hidden["id"]}]
        case "command":
            return list(COMMANDS)
        case "options":
            return [{"batch": True}, {"batch": False}]
        case _:
            return [{"token": "x"}] if kind == "auth" else [{}]


async def over_websocket(board: SocketDashboard, hidden: Frame) -> None:
    for kind in [kind for kind in CLIENT_FRAMES if kind != "unsubscribe"]:
        for fields in frames_of(kind, hidden):
            await board.send(kind, **fields)
    await board.until(lambda: {"resumed", "pong", "explained"} <= set(board.types))


@pytest.mark.parametrize("name", READERS)
async def test_nothing_that_is_not_granted_is_sent(busy_bridge: BridgeProcess, name: str) -> None:
    grants = READERS[name]
    proof = token(user="spy", roles=("viewer",), grants={"read": grants})
    await happen(busy_bridge)
    async with dashboard(busy_bridge.port) as admin:
        [hidden, *_] = await admin.snapshot(id="h", subscription_type="andon", target_id="L3")
    async with dashboard(busy_bridge.port, proof) as board:
        await over_websocket(board, hidden)
        await happen(busy_bridge)
        answers = await over_http(busy_bridge.port, proof)
        await board.ask("heartbeat", "pong")
        sent = "\n".join(board.texts).encode()
    shown = marks(sent) | marks(answers)
    everything = {(line, equipment, "andon") for line, (_, *devices) in PLACES.items() for equipment in devices}
    everything |= {(line, "_", "job") for line in PLACES}
    assert shown == {mark for mark in everything if is_granted(mark, grants)}
    assert marks(sent) == marks(answers)
