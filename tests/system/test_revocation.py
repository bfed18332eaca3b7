"""Revocations by `floor revoke` against running processes: every socket and every request, and after restarts."""

import asyncio
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bridge_process import BridgeProcess, bridge_process, configured
from tests.support.brokers import RunningBroker, until
from tests.support.command_line import floor
from tests.support.socket_dashboard import connected, http
from tests.support.tokens import token

REVOKED, OTHER = "name#EXT#@tenant", "name"
PRESS = b'{"action": "raise", "andon_type": "equipment"}'


def with_list(folder: Path) -> dict[str, str]:
    return {"FLOOR_TOKEN__REVOKED_FILE": str(folder / "revoked.json")}


async def revoke(folder: Path, *arguments: str) -> None:
    """Run `floor revoke` on the list of the bridge's settings, as soon as there are settings."""
    environment = {**with_list(folder), "FLOOR_TOKEN__SECRET": "x" * 32}
    config = folder / "floor.toml"
    if config.exists():
        del environment["FLOOR_TOKEN__SECRET"]
    else:
        config.write_text("")
    ended = await asyncio.to_thread(floor, folder, "revoke", *arguments, **environment)
    assert ended.returncode == 0, ended.stderr


async def press(bridge: BridgeProcess, station: str) -> None:
    async with bridge.device() as device:
        await device.publish(f"floor/v1/report/plant1/packing/L1/{station}/andon", PRESS)


async def refusals(serving: Iterable[BridgeProcess], proof: str) -> list[tuple[int, int]]:
    """Return how each process refuses a token: the close code of a WebSocket, and the status of a request."""
    answers = []
    for process in serving:
        async with connected(process.port) as board:
            await board.send("auth", token=proof)
            code = (await board.closed())[0]
        answers.append((code, (await http(process.port, "/api/snapshot", proof)).status))
    return answers


@pytest.mark.parametrize("fronts", [None, 2], ids=["one process", "two fronts"])
async def test_a_revocation_ends_the_sockets_of_a_user_everywhere_and_survives_restarts(
    tmp_path: Path, mosquitto: RunningBroker, fronts: int | None
) -> None:
    await revoke(tmp_path, "init")
    async with bridge_process(tmp_path, mosquitto, environment=with_list(tmp_path), fronts=fronts) as bridge:
        serving, proof = bridge.fronts or [bridge], token(user=REVOKED)
        async with (
            serving[0].dashboard(proof) as first,
            serving[-1].dashboard(proof) as last,
            serving[0].dashboard(token(user=OTHER)) as other,
        ):
            await other.snapshot(subscription_type="andon")
            await revoke(tmp_path, "user", REVOKED)
            assert [(await board.closed())[0] for board in (first, last)] == [4403, 4403]
            await press(bridge, "Andon-L1")
            assert (await other.receive("andon_event"))["data"]["status"] == "open"
        assert await refusals(serving, proof) == [(4403, 401)] * len(serving)
        metrics = [(await http(process.port, "/metrics", token())).body.decode() for process in serving]
        counts = [re.findall(r"^floor_dashboard_revoked_total (.*)$", text, re.MULTILINE) for text in metrics]
        assert sum(float(count) for (count,) in counts) == 2
        for process in (bridge, *bridge.fronts):
            assert await process.stop() == 0
        mosquitto.stop()
        mosquitto.start()
        for process in (bridge, *bridge.fronts):
            await process.start()
        assert await refusals(serving, proof) == [(4403, 401)] * len(serving)
        await revoke(tmp_path, "user", REVOKED, "--undo")
        async with asyncio.timeout(30):
            while (await http(serving[0].port, "/api/snapshot", proof)).status != 200:
                pass


async def test_a_process_without_its_list_journals_reports_admits_nobody_and_recovers_by_itself(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    bridge = configured(tmp_path, mosquitto, environment=with_list(tmp_path))
    try:
        await bridge.launch()
        reason = "the revocation list cannot be used: No such file or directory"
        await until(lambda: reason in bridge.readiness(), what="not ready", seconds=30)
        async with connected(bridge.port) as board:
            await board.send("auth", token=token())
            code, text = await board.closed()
        assert (code, json.loads(text).keys()) == (1012, {"retry_after"})
        refused = await http(bridge.port, "/api/snapshot", token())
        assert (refused.status, refused.data["code"]) == (503, "UNAVAILABLE")
        assert (await http(bridge.port, "/api/snapshot", "a.b.c")).status == 401
        await press(bridge, "Andon-L1")
        await revoke(tmp_path, "init")
        await bridge.ready()
        async with bridge.dashboard() as board:
            snapshot: list[Any] = await board.snapshot(subscription_type="andon")
            assert snapshot
        (tmp_path / "revoked.json").unlink()
        await until(lambda: reason in bridge.readiness(), what="not ready")
        async with bridge.dashboard() as board:
            await board.ask("ping", "pong")
        assert await bridge.stop() == 0
    finally:
        await bridge.kill()
