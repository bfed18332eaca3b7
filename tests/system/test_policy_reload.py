"""A changed policy file against a running process: live sockets, requests and commands follow it, by themselves."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.revocation_lists import write_whole
from tests.support.socket_dashboard import SocketDashboard, http
from tests.support.tokens import token

ADMIN = '[roles.admin]\nunscoped = true\nread = ["#"]\ncommand = ["#"]\n'
BEFORE = ADMIN + (
    '[roles.operator]\nread = ["+/+/{line}/#"]\ncommand = ["+/+/{line}/#"]\n'
    '[roles.quality]\nread = ["+/+/{line}/+/andon/#"]\n'
)
AFTER = ADMIN + '[roles.operator]\nread = ["+/+/{line}/+/job/#"]\n[roles.quality]\nread = ["+/+/{line}/#"]\n'
INVALID = BEFORE.replace("roles.quality", "roles.qualty")
PRESS = b'{"action": "raise", "andon_type": "equipment"}'
RAISE = {"action": "andon.raise", "line_id": "L1", "equipment_code": "Andon-L1", "andon_type": "material"}


def by_change(_: BridgeProcess) -> None:
    """Leave it to the bridge to notice."""


def by_signal(bridge: BridgeProcess) -> None:
    bridge.signal(signal.SIGHUP)


async def calls(boards: list[SocketDashboard], bridge: BridgeProcess) -> list[int]:
    """Press, and return how many calls each has got when all have answered."""
    async with bridge.device() as device:
        await device.publish("floor/v1/report/plant1/packing/L1/Andon-L1/andon", PRESS)
    await boards[-1].receive("andon_event")
    for board in boards:
        await board.ask("ping", "pong")
    return [sum(frame["type"] == "andon_event" for frame in board.frames) for board in boards]


@pytest.mark.parametrize("announce", [by_change, by_signal])
async def test_a_changed_policy_ends_what_is_lost_and_brings_what_is_new(
    tmp_path: Path, mosquitto: RunningBroker, announce: Callable[[BridgeProcess], None]
) -> None:
    path = tmp_path / "policy.toml"
    write_whole(path, BEFORE)
    operator, quality = (token(user=role, roles=(role,), lines=["L1"]) for role in ("operator", "quality"))
    environment = {"FLOOR_POLICY_FILE": str(path)}
    async with (
        bridge_process(tmp_path, mosquitto, environment=environment) as bridge,
        bridge.dashboard(operator) as narrowed,
        bridge.dashboard(quality) as widened,
        bridge.dashboard() as other,
    ):
        for board in (narrowed, widened, other):
            await board.snapshot(id="L1", subscription_type="line", target_id="L1")
        assert (await http(bridge.port, "/api/commands", operator, {**RAISE, "id": "1"})).status == 200
        await narrowed.receive("andon_event")
        before = len(other.frames)

        write_whole(path, INVALID)
        announce(bridge)
        await until(lambda: "access.reload_failed" in bridge.log(), what="the refusal")
        assert bridge.is_ready()
        write_whole(path, AFTER)
        announce(bridge)

        revoked = await narrowed.receive("revoked")
        assert revoked["subscriptions"] == [{"id": "L1", "effective": ["+/+/L1/+/job/#"]}]
        assert (await widened.receive("widened"))["subscriptions"] == [{"id": "L1", "effective": ["+/+/L1/#"]}]
        assert {event["category"] for event in await widened.receive_snapshot("L1")} > {"andon"}
        got = await calls([narrowed, widened, other], bridge)
        assert {"revoked", "widened"}.isdisjoint(frame["type"] for frame in other.frames[before:])
        assert got[0] == 1, "the one before the change"
        assert (await http(bridge.port, "/api/commands", operator, {**RAISE, "id": "2"})).status == 403
        assert (await http(bridge.port, "/api/snapshot", operator)).data["events"] == []
        explained = (await http(bridge.port, "/api/explain?subscription_type=line&target_id=L1", quality)).data
        assert explained["effective"] == ["+/+/L1/#"]
        assert b"\nfloor_dashboard_redecided_total 2.0\n" in (await http(bridge.port, "/metrics", token())).body


async def test_a_hangup_ends_nothing_and_its_outcome_is_logged(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge, bridge.dashboard() as board:
        bridge.signal(signal.SIGHUP)
        await until(lambda: "access.reloaded" in bridge.log(), what="the outcome")
        await board.ask("ping", "pong")
        bridge.signal(signal.SIGTERM)
        bridge.signal(signal.SIGHUP)
        assert await bridge.stop() == 0
