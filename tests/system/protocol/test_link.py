"""protocol.md, `link` and `command`, when the broker is down or the journal does not answer."""

import asyncio
from pathlib import Path

from tests.support.bridge_process import blocked_journal, bridge_process
from tests.support.brokers import RunningBroker
from tests.support.socket_dashboard import SocketDashboard, dashboard, http

RAISE = {"action": "andon.raise", "line_id": "L1", "equipment_code": "Andon-L1", "andon_type": "quality"}
REPORTED_WITHIN = 5.0  # protocol.md and promise P5


async def raised_once(board: SocketDashboard) -> None:
    """Read until the call is reported; it is one, however often it was asked for."""
    async with asyncio.timeout(REPORTED_WITHIN):
        while not board.events:
            await board.read()
    assert [(event["type"], event["data"]["repeat"]) for event in board.events] == [("andon_event", 0)]


async def test_a_lost_broker_is_reported_and_a_command_is_unknown_until_it_is_back(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    quick = {"FLOOR_WEB__COMMAND_TIMEOUT_SECONDS": "1"}
    async with bridge_process(tmp_path, mosquitto, environment=quick) as bridge, dashboard(bridge.port) as board:
        await board.snapshot(id="s", subscription_type="andon", target_id="L1")
        mosquitto.kill()
        link = await board.receive("link", seconds=REPORTED_WITHIN, broker=False)
        assert not link["streams"]["main"]["live"]
        assert (await http(bridge.port, "/health/ready")).status == 503
        assert (await http(bridge.port, "/health/live")).status == 200
        await board.send("command", id="c", **RAISE)
        assert (await board.receive("command_result", id="c"))["outcome"] == "unknown"
        mosquitto.start()
        link = await board.receive("link", broker=True)
        assert link["streams"]["main"]["live"]
        outcome = "unknown"
        while outcome == "unknown":  # the front's own connection may come back later than the intake's
            outcome = (await board.ask("command", "command_result", id="c", **RAISE))["outcome"]
        assert outcome == "applied"
        await raised_once(board)


async def test_a_journal_that_does_not_answer_is_reported_and_loses_nothing(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    quick = {"FLOOR_WEB__COMMAND_TIMEOUT_SECONDS": "1"}
    async with bridge_process(tmp_path, mosquitto, environment=quick) as bridge, dashboard(bridge.port) as board:
        await board.snapshot(id="s", subscription_type="andon", target_id="L1")
        with blocked_journal(bridge):
            began = asyncio.get_running_loop().time()
            await board.send("command", id="c", **RAISE)
            assert (await board.receive("command_result", id="c"))["outcome"] == "unknown"
            link = await board.receive("link", seconds=2 * REPORTED_WITHIN)
            assert (link["broker"], link["streams"]["main"]["live"]) == (True, False)
            assert asyncio.get_running_loop().time() - began < REPORTED_WITHIN
            assert (await http(bridge.port, "/health/ready")).status == 503
        link = await board.receive("link")
        assert link["streams"]["main"]["live"]
        assert (await board.ask("command", "command_result", id="c", **RAISE))["outcome"] == "applied"
        await raised_once(board)
