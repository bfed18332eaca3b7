"""A bridge that is killed or cut off: the absence is unknown time, and a short one changes nothing."""

import asyncio
import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from playwright.async_api import expect

from tests.faults.faketime import FakedTime
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.browser_page import DEADLINE_MS, browser_page
from tests.support.tokens import token

BAGGER: Final = "floor/v1/report/plant1/packing/L1/Bagger-1"
SHORT_MS: Final = 3_000  # no absence yet


def statuses(bridge: BridgeProcess, equipment: str = "Bagger-1") -> list[tuple[str, bool]]:
    """Return the reported statuses of a machine as (status, estimated)."""
    with closing(sqlite3.connect(f"file:{bridge.journal}?mode=ro", uri=True)) as journal:
        rows = journal.execute("SELECT body FROM events ORDER BY offset").fetchall()
    events = [json.loads(body) for (body,) in rows]
    return [
        (event["data"]["status"], event["data_quality"].get("estimated", False))
        for event in events
        if event["type"] == "line_status_update" and event["equipment_code"] == equipment
    ]


def is_last(bridge: BridgeProcess, status: tuple[str, bool]) -> bool:
    return statuses(bridge)[-1:] == [status]


def absences(bridge: BridgeProcess) -> list[dict[str, object]]:
    with closing(sqlite3.connect(f"file:{bridge.journal}?mode=ro", uri=True)) as journal:
        rows = journal.execute("SELECT payload FROM inputs WHERE topic = 'presence/absence'").fetchall()
    return [json.loads(payload) for (payload,) in rows]


def observed_until(bridge: BridgeProcess) -> int:
    """Return the floor time in ms until which the journal of a stopped bridge was observed."""
    with closing(sqlite3.connect(f"file:{bridge.journal}?mode=ro", uri=True)) as journal:
        (latest,) = journal.execute("SELECT latest_arrival FROM meta").fetchone()
    return int(latest)


async def runs(bridge: BridgeProcess) -> None:
    async with bridge.device() as device:
        await device.publish(f"{BAGGER}/state", b'{"state": "running"}')
    await until(lambda: statuses(bridge)[-1:] == [("running", False)], what="the machine runs")


async def test_a_killed_bridge_knows_nothing_of_what_it_did_not_see(tmp_path: Path, mosquitto: RunningBroker) -> None:
    faked = FakedTime(tmp_path)
    async with bridge_process(tmp_path, mosquitto, environment=faked.environment) as bridge:
        await runs(bridge)
        for away_ms, after in ((SHORT_MS, ("running", False)), (15_000, ("offline", True))):
            await bridge.kill()
            faked.stop_at(observed_until(bridge) + away_ms)
            await bridge.start()
            await until(partial(is_last, bridge, after), what="what is known after the restart")
            assert len(absences(bridge)) == (after[0] == "offline")
            assert ("floor.unobserved" in bridge.log()) == (after[0] == "offline")
        assert await bridge.stop() == 0
        faked.stop_at(observed_until(bridge) + SHORT_MS)
        await bridge.start()
        assert "floor.replay_differs" not in bridge.log()
        assert len(absences(bridge)) == 1, "a short stop is no absence"
        await runs(bridge)


async def test_a_bridge_without_anything_to_report_was_there_all_the_same(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    """A quiet plant is no absence of the bridge: the time of the last observation counts, not of the last report."""
    environment = {"FLOOR_JOURNAL__CHECKPOINT_SECONDS": "0.2"}
    async with bridge_process(tmp_path, mosquitto, environment=environment) as bridge:
        await runs(bridge)
        began = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() - began > 11, seconds=15, what="a quiet while")
        assert await bridge.stop() == 0
        await bridge.start()
        assert absences(bridge) == []
        assert statuses(bridge)[-1] == ("running", False)


async def test_a_link_that_is_lost_for_long_leaves_every_machine_unknown_until_it_reports(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    async with bridge_process(tmp_path, mosquitto) as bridge:
        await runs(bridge)
        mosquitto.stop()
        await until(lambda: statuses(bridge)[-1:] == [("offline", True)], seconds=15, what="the begin of the absence")
        assert [absence["reason"] for absence in absences(bridge)] == ["link"]
        mosquitto.start()
        await bridge.ready()
        await runs(bridge)
        assert len(absences(bridge)) == 1, "an outage is reported once"


async def test_the_board_shows_unknown_time_as_such(tmp_path: Path, mosquitto: RunningBroker) -> None:
    faked = FakedTime(tmp_path)
    async with bridge_process(tmp_path, mosquitto, environment=faked.environment) as bridge:
        await runs(bridge)
        assert await bridge.stop() == 0
        faked.set("+15")
        await bridge.start()
        await until(lambda: statuses(bridge)[-1:] == [("offline", True)], what="an unknown state")
        async with browser_page() as page:
            await page.goto(f"http://127.0.0.1:{bridge.port}/#token={token()}")
            row = page.locator("#events tr", has_text="Bagger-1").filter(has_text="line_status_update").first
            await expect(row).to_contain_text("status offline", timeout=DEADLINE_MS)
            await expect(row).to_contain_text("estimated")
            await page.screenshot(path=str(tmp_path / "board.png"))
