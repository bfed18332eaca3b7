"""threats.md, «Faults»: a wall clock 30 days wrong, set back while it runs, or at a change of the time zone.

Timers are monotonic and deadlines right; journal times never go back; tokens go by the wall, as their issuer does.
"""

import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from bridge.domain.utc_time import rfc3339
from bridge.ports.clock import wall_ms
from tests.faults.bridge_under_load import bridge_under_load
from tests.faults.faketime import DAY_MS, FakedTime
from tests.support.bridge_process import DEMO_PLANT, BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.dashboard import Frame
from tests.support.socket_dashboard import connected
from tests.support.tokens import token

STATION: Final = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
BAGGER: Final = "floor/v1/report/plant1/packing/L1/Bagger-1"
PRESS: Final = b'{"action": "raise", "andon_type": "equipment"}'
RESOLVE: Final = b'{"action": "resolve", "andon_type": "equipment"}'
DUE_SECONDS: Final = 3.0
MONTH_MS: Final = 30 * DAY_MS
BEHIND: Final = "behind the journal"
LADDER: Final = """
[ladder.high]
acknowledge_minutes = 0.05
resolve_minutes = 30
step_minutes = 5
recipients = [["responders"], ["shift_manager"]]
"""


def plant_with_quick_ladder(folder: Path) -> Path:
    plant = folder / "plant.toml"
    demo = DEMO_PLANT.read_text().replace('faults_file = "', f'faults_file = "{DEMO_PLANT.parent}/')
    plant.write_text(demo + LADDER)
    return plant


def millis(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp() * 1_000


def journalled_times(bridge: BridgeProcess) -> list[int]:
    with closing(sqlite3.connect(f"file:{bridge.journal}?mode=ro", uri=True)) as journal:
        return [at for (at,) in journal.execute("SELECT received_at FROM inputs ORDER BY number")]


def offset_of(bridge: BridgeProcess) -> float:
    (line,) = [row for row in bridge.metrics().splitlines() if row.startswith("floor_clock_offset_seconds ")]
    return float(line.split()[1])


async def escalates_in_time(bridge: BridgeProcess, proof: str) -> tuple[Frame, Frame]:
    """Raise a call, let its deadlines pass, and resolve it; return its escalations."""
    async with bridge.dashboard(proof) as board, bridge.device() as device:
        await board.snapshot(subscription_type="escalation")
        await device.publish(STATION, PRESS)
        first = await board.receive("escalation_update", data__level=0)
        began = time.monotonic()
        second = await board.receive("escalation_update", subject=first["subject"], data__level=1, seconds=20)
        waited = time.monotonic() - began
        assert second["timestamp"] == first["data"]["deadline"]
        assert millis(second["timestamp"]) - millis(first["timestamp"]) == DUE_SECONDS * 1_000
        # a press that waits for what became due in a day is seen late, and its deadline counts from when it came
        assert waited < DUE_SECONDS + 5.0, "a deadline that passed is fired within P5"
        await device.publish(STATION, RESOLVE)
        await board.receive("escalation_update", subject=first["subject"], data__status="resolved")
        return first, second


@pytest.mark.faults
async def test_a_wall_that_is_wrong_at_start_moves_no_deadline_and_no_time_back(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    """Right, 30 days behind, a day ahead, and right again."""
    faked = FakedTime(tmp_path)
    async with bridge_process(
        tmp_path, mosquitto, plant=plant_with_quick_ladder(tmp_path), environment=faked.environment
    ) as bridge:
        right, _ = await escalates_in_time(bridge, token())
        assert "floor_clock_held 0.0" in bridge.metrics()
        for shift, shift_ms, clock_held in (("-30d", -MONTH_MS, 1.0), ("+1d", DAY_MS, 0.0), ("+0", 0, 1.0)):
            assert await bridge.stop() == 0
            faked.set(shift)
            await bridge.launch()
            if clock_held:
                await until(lambda: BEHIND in bridge.readiness(), seconds=30, what="its time is not the plant's")
            else:
                await bridge.ready()
            assert f"floor_clock_held {clock_held}" in bridge.metrics()
            behind = {"-30d": MONTH_MS, "+1d": 0, "+0": DAY_MS}[shift]
            assert offset_of(bridge) == pytest.approx(behind / 1_000, abs=120)
            first, _ = await escalates_in_time(bridge, token(now=time.time() + shift_ms / 1_000))
            assert millis(first["received_at"]) > millis(right["received_at"])
            if shift == "-30d":
                assert millis(first["received_at"]) - millis(right["received_at"]) < 120_000, "held, and going on"
        assert bridge.log().count("clock.behind_journal") == 2
        assert await bridge.stop() == 0
        times = journalled_times(bridge)
        assert all(before <= after for before, after in pairwise(times))


async def test_a_wall_that_is_set_while_it_runs_moves_no_deadline(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """Set back it is not followed, and that is reported; set forward it is, and pending deadlines keep their time."""
    faked = FakedTime(tmp_path)
    async with bridge_process(
        tmp_path, mosquitto, plant=plant_with_quick_ladder(tmp_path), environment=faked.environment
    ) as bridge:
        async with bridge.dashboard() as board, bridge.device() as device:
            await board.snapshot(subscription_type="escalation")
            began = time.monotonic()
            await device.publish(STATION, PRESS)
            first = await board.receive("escalation_update", data__level=0)
            faked.set("-30d")  # while the deadline runs
            second = await board.receive("escalation_update", data__level=1, seconds=20)
            assert 0.5 * DUE_SECONDS < time.monotonic() - began < DUE_SECONDS + 5.0
            assert second["timestamp"] == first["data"]["deadline"]
            await device.publish(STATION, RESOLVE)
            end = await board.receive("escalation_update", data__status="resolved")
            assert 0 < millis(end["timestamp"]) - millis(first["timestamp"]) < 60_000
            assert end["data_quality"]["clock"] != "skewed"
            assert "clock.step_detected" in bridge.log()
            assert BEHIND in bridge.readiness()
            assert offset_of(bridge) == pytest.approx(MONTH_MS / 1_000, abs=120)
            assert "floor_clock_held 1.0" in bridge.metrics()
            faked.set("+1d")
            assert (await board.closed())[0] == 4401, "the token has expired: the wall says so"
        async with connected(bridge.port) as board:
            await board.send("auth", token=token())
            assert (await board.closed())[0] in (1008, 4401)
        await until(lambda: "clock.step_applied" in bridge.log(), what="the wall is followed")
        tomorrow = token(now=time.time() + DAY_MS / 1_000)
        assert "floor_clock_held 0.0" in bridge.metrics(tomorrow)
        first, _ = await escalates_in_time(bridge, tomorrow)
        assert 0 < millis(first["received_at"]) - millis(end["timestamp"]) - DAY_MS < 60_000
        assert await bridge.stop() == 0
        times = journalled_times(bridge)
        assert all(before <= after for before, after in pairwise(times))


@pytest.mark.faults
async def test_a_wall_that_is_set_again_and_again_under_load_loses_nothing(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    """Backwards by days and by less than the followed step, with kills between."""
    faked = FakedTime(tmp_path)
    alive = {**faked.environment, "FLOOR_TIME__SCALE": "1"}
    async with bridge_under_load(tmp_path, mosquitto, environment=alive) as loaded:
        for shift in ("-1h", "-3", "-30d", "+0"):
            await loaded.load.more(60)
            faked.set(shift)
            await loaded.load.more(60)
            if shift == "-3":
                assert loaded.bridge.process is not None
                loaded.bridge.process.kill()
                await loaded.bridge.process.wait()
                await loaded.bridge.start()
        await until(lambda: loaded.dashboard.live, what="live")
        ledger = await loaded.close_ledger("the wall set by -1 h, -3 s, -30 d and right again, with a kill between")
    assert ledger.wrong == {}
    times = [entry.input.received_at for entry in ledger.journalled.entries]
    assert all(before <= after for before, after in pairwise(times))


CHANGES: Final = {
    "an hour again": (datetime(2026, 10, 25, 1, tzinfo=UTC), 9),
    "an hour less": (datetime(2027, 3, 28, 1, tzinfo=UTC), 7),
}


@pytest.mark.faults
@pytest.mark.parametrize(("change", "night_hours"), CHANGES.values(), ids=list(CHANGES))
async def test_a_change_of_the_plants_zone_while_it_runs_closes_its_hour_once(
    tmp_path: Path, mosquitto: RunningBroker, change: datetime, night_hours: int
) -> None:
    """The wall of Europe/Berlin jumps at 01:00 UTC; what lies before and after is each an hour, of one night."""
    moment = round(change.timestamp() * 1_000)
    shift_ms = moment - wall_ms() - 8_000
    faked = FakedTime(tmp_path, f"{shift_ms / 1_000:+.3f}")
    plant = plant_with_quick_ladder(tmp_path)
    async with bridge_process(tmp_path, mosquitto, plant=plant, environment=faked.environment) as bridge:
        async with bridge.device() as device:
            await device.publish(f"{BAGGER}/state", b'{"state": "running"}')
        following = {"window": "hour", "window_start": rfc3339(moment)}
        await until(lambda: oee_of(bridge, following) != [], seconds=60, what="the hour after the change")
        ended = oee_of(bridge, {"window": "hour", "closed": True})
        night = oee_of(bridge, {"window": "shift"})
        await escalates_in_time(bridge, token(now=time.time() + shift_ms / 1_000))
        assert await bridge.stop() == 0
        times = journalled_times(bridge)
    assert [(event["timestamp"], event["data"]["window_start"], event["data"]["window_end"]) for event in ended] == [
        (rfc3339(moment), rfc3339(moment - 3_600_000), rfc3339(moment))
    ]
    for data in (event["data"] for event in night):
        assert (data["shift_id"], data["closed"]) == ("night", False)
        assert millis(data["window_end"]) - millis(data["window_start"]) == night_hours * 3_600_000
    assert night
    assert all(before <= after for before, after in pairwise(times))


def oee_of(bridge: BridgeProcess, like: Frame) -> list[Frame]:
    """Return the line's OEE windows in the journal; a dashboard receives the newest of those that are due at once."""
    with closing(sqlite3.connect(f"file:{bridge.journal}?mode=ro", uri=True)) as journal:
        rows = journal.execute("SELECT body FROM events WHERE topic LIKE '%/L1/\\_/oee/%' ESCAPE '\\' ORDER BY offset")
        events: list[Frame] = [json.loads(body) for (body,) in rows]
    return [event for event in events if like.items() <= event["data"].items()]
