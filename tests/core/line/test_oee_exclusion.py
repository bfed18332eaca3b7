"""A downtime that a named user confirmed as planned leaves PBT, in every window that held it and in no other."""

from typing import Final

import pytest

from bridge.core import event_data
from bridge.core.events import EventType, Standing
from bridge.core.reports import DowntimeReport, JobReport, StateReport
from tests.core.line.shopfloor import LEADER, Shop

RUNNING: Final = StateReport(state="running")
FAULT: Final = StateReport(state="fault", fault_bits=[0])
CLEANING: Final = StateReport(state="running", planned_stop=True)
HOUR: Final = 3_600.0


def confirm(shop: Shop, downtime_id: str, *, at: float) -> None:
    shop.say(None, DowntimeReport(action="confirm", downtime_id=downtime_id), at=at, actor=LEADER)


def amended(shop: Shop, window: str) -> list[event_data.Oee]:
    """What was told of closed windows anew, as history."""
    return [
        event.data
        for event in shop.of(EventType.OEE_UPDATE)
        if event.standing is Standing.HISTORY and isinstance(event.data, event_data.Oee) and event.data.window == window
    ]


def test_a_stop_of_hours_leaves_every_hour_it_lay_in() -> None:
    """Cleaned from 10:30 to 12:30, confirmed at 13:10: the hours from 10, 11 and 12 are told again, 12's rest stays."""
    shop = Shop()
    shop.say("bagger", RUNNING, at=0)
    shop.say("bagger", CLEANING, at=0.5 * HOUR)
    shop.say("bagger", RUNNING, at=2.5 * HOUR)
    shop.wait(3.1 * HOUR)
    before = len(amended(shop, "hour"))
    confirm(shop, "L1.down.1", at=3.1 * HOUR)
    found = amended(shop, "hour")[before:]
    assert [
        (data.window_start[11:16], data.planned_busy_seconds, data.actual_production_seconds) for data in found
    ] == [
        ("09:00", 1_800, 1_800),
        ("10:00", 0, 0),
        ("11:00", 1_800, 1_800),
    ]
    assert [data.availability for data in found] == [1, None, 1]
    shift = shop.oee("shift")[-1]
    assert shift.planned_busy_seconds == shift.actual_production_seconds == pytest.approx(1.1 * HOUR)


def test_a_stop_while_the_job_was_paused_was_never_the_jobs() -> None:
    """The job lost 100 s to a breakdown; the cleaning took none of its time, so its confirmation gives none back."""
    shop = Shop()
    shop.say(None, JobReport(action="assign", job_id="J", product="crisps", target_quantity=9), at=0)
    shop.say("bagger", RUNNING, at=0)
    shop.say(None, JobReport(action="start", job_id="J"), at=0)
    shop.say("bagger", FAULT, at=100)
    shop.say("bagger", RUNNING, at=200)
    shop.say(None, JobReport(action="pause", job_id="J"), at=300)
    shop.say("bagger", CLEANING, at=300)
    shop.say("bagger", RUNNING, at=500)
    shop.say(None, JobReport(action="start", job_id="J"), at=500)
    shop.wait(600)
    confirm(shop, "L1.down.2", at=600)
    job = shop.oee("job")[-1]
    assert (job.planned_busy_seconds, job.actual_production_seconds) == (400, 300)
    shift = shop.oee("shift")[-1]
    assert (shift.planned_busy_seconds, shift.actual_production_seconds) == (400, 300)
