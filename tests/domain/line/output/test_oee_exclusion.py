"""A downtime that a named user confirmed as planned leaves PBT, in every window that held it and in no other.

It does so for the line and for its machines, and comes back where the confirmation is withdrawn.
"""

from typing import Final

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType, Standing
from bridge.domain.reports import (
    APPLIED,
    Actor,
    Disposition,
    DowntimeReport,
    JobReport,
    StateReport,
    rejected,
    suppressed,
)
from tests.support.packing_line import LEADER, PackingLine, equipment, line_spec, plant_file

RUNNING: Final = StateReport(state="running")
FAULT: Final = StateReport(state="fault", fault_bits=[0])
CLEANING: Final = StateReport(state="running", planned_stop=True)
HOUR: Final = 3_600.0


def confirm(line: PackingLine, downtime_id: str, *, at: float) -> None:
    line.report(None, DowntimeReport(action="confirm", downtime_id=downtime_id), at=at, actor=LEADER)


def amended(line: PackingLine, window: str) -> list[event_data.Oee]:
    """Return the closed windows reported again as history."""
    return [
        event.data
        for event in line.of(EventType.OEE_UPDATE)
        if event.standing is Standing.HISTORY and isinstance(event.data, event_data.Oee) and event.data.window == window
    ]


def test_a_stop_of_hours_leaves_every_hour_it_lay_in() -> None:
    """Cleaned from 10:30 to 12:30, confirmed at 13:10: the hours from 10, 11 and 12 change, the rest of 12 stays."""
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", CLEANING, at=0.5 * HOUR)
    line.report("bagger", RUNNING, at=2.5 * HOUR)
    line.wait(3.1 * HOUR)
    before = len(amended(line, "hour"))
    confirm(line, "L1.down.1", at=3.1 * HOUR)
    amendments = amended(line, "hour")[before:]
    assert [
        (data.window_start[11:16], data.planned_busy_seconds, data.actual_production_seconds) for data in amendments
    ] == [
        ("09:00", 1_800, 1_800),
        ("10:00", 0, 0),
        ("11:00", 1_800, 1_800),
    ]
    assert [data.availability for data in amendments] == [1, None, 1]
    shift = line.oee("shift")[-1]
    assert shift.planned_busy_seconds == shift.actual_production_seconds == pytest.approx(1.1 * HOUR)


def test_a_stop_while_the_job_was_paused_was_never_the_jobs() -> None:
    """The job lost 100 s to a breakdown; the cleaning took none of its time, so its confirmation gives none back."""
    line = PackingLine()
    line.report(None, JobReport(action="assign", job_id="J", product="crisps", target_quantity=9), at=0)
    line.report("bagger", RUNNING, at=0)
    line.report(None, JobReport(action="start", job_id="J"), at=0)
    line.report("bagger", FAULT, at=100)
    line.report("bagger", RUNNING, at=200)
    line.report(None, JobReport(action="pause", job_id="J"), at=300)
    line.report("bagger", CLEANING, at=300)
    line.report("bagger", RUNNING, at=500)
    line.report(None, JobReport(action="start", job_id="J"), at=500)
    line.wait(600)
    confirm(line, "L1.down.2", at=600)
    job = line.oee("job")[-1]
    assert (job.planned_busy_seconds, job.actual_production_seconds) == (400, 300)
    shift = line.oee("shift")[-1]
    assert (shift.planned_busy_seconds, shift.actual_production_seconds) == (400, 300)


def unconfirm(line: PackingLine, downtime_id: str, *, at: float, actor: Actor | None = LEADER) -> Disposition:
    body = DowntimeReport(action="unconfirm", downtime_id=downtime_id)
    return line.report(None, body, at=at, actor=actor).disposition


def standing(line: PackingLine, scope: str | None) -> dict[tuple[str, str], float]:
    """Return what each window lost to downtimes, as last reported: planned busy time less production time."""
    return {
        (data.window, data.window_start[11:16]): data.planned_busy_seconds - data.actual_production_seconds
        for event in line.of(EventType.OEE_UPDATE, scope)
        if isinstance(data := event.data, event_data.Oee)
    }


DECIDING: Final = {"constraint": "bagger"}
CRITICAL: Final = {"constraint": None, "critical": ("feeder", "bagger", "packer")}


def cleaned(**changes: object) -> PackingLine:
    """All machines are cleaned from 10:30 to 12:30, while a job runs; the feeder has an ideal cycle too."""
    feeder, bagger, packer, desk = equipment()
    feeder = feeder.model_copy(update={"ideal_cycle_seconds": 1.0})
    line = PackingLine(plant_file(line_spec(equipment=(feeder, bagger, packer, desk), **changes)))
    line.report(None, JobReport(action="assign", job_id="J", product="crisps", target_quantity=9), at=0)
    line.report(None, JobReport(action="start", job_id="J"), at=0)
    for at, body in ((0.0, RUNNING), (0.5 * HOUR, CLEANING), (2.5 * HOUR, RUNNING)):
        for equipment_id in ("feeder", "bagger", "packer"):
            line.report(equipment_id, body, at=at)
    line.wait(3.1 * HOUR)
    return line


@pytest.mark.parametrize("deciding", [DECIDING, CRITICAL])
@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("scope", [None, "feeder", "bagger"])
def test_a_confirmed_stop_leaves_the_time_of_line_and_machines_until_that_is_withdrawn(
    deciding: dict[str, object], *, restarts: bool, scope: str | None
) -> None:
    line = cleaned(**deciding)
    lost = dict.fromkeys([("shift", "05:00"), ("job", "09:00")], 7_200) | {("hour", "12:00"): 0}
    lost |= {("hour", "09:00"): 1_800, ("hour", "10:00"): 3_600, ("hour", "11:00"): 1_800}
    assert standing(line, scope) == lost
    for _ in range(2):
        if restarts:
            line.restart()
        confirm(line, "L1.down.1", at=3.1 * HOUR)
        assert standing(line, scope) == dict.fromkeys(lost, 0)
        if restarts:
            line.restart()
        assert unconfirm(line, "L1.down.1", at=3.1 * HOUR) == APPLIED
        assert standing(line, scope) == lost
        assert (line.downtimes()[-1].status, line.downtimes()[-1].confirmed_by) == ("closed", None)
    assert line.of(EventType.DOWNTIME_EVENT)[-1].standing is Standing.HISTORY


def test_a_withdrawn_confirmation_may_be_given_again_with_another_reason() -> None:
    line = cleaned()
    unplanned = standing(line, None)
    confirm(line, "L1.down.1", at=3.1 * HOUR)
    assert unconfirm(line, "L1.down.1", at=3.1 * HOUR) == APPLIED
    assert unconfirm(line, "L1.down.1", at=3.1 * HOUR) == suppressed("not_confirmed")
    classify = DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="MECH")
    assert line.report(None, classify, at=3.1 * HOUR, actor=LEADER).disposition == APPLIED
    confirm(line, "L1.down.1", at=3.1 * HOUR)
    assert (line.downtimes()[-1].status, line.downtimes()[-1].category) == ("confirmed", "unplanned")
    assert standing(line, None) == unplanned


def test_a_confirmation_by_a_named_user_is_withdrawn_only_by_a_named_user() -> None:
    line = cleaned()
    confirm(line, "L1.down.1", at=3.1 * HOUR)
    planned = standing(line, None)
    body = DowntimeReport(action="unconfirm", downtime_id="L1.down.1", operator="x")
    assert line.report(None, body, at=3.1 * HOUR).disposition == rejected("not_allowed")
    assert unconfirm(line, "L1.down.1", at=3.1 * HOUR, actor=None) == rejected("not_allowed")
    assert standing(line, None) == planned
    assert line.downtimes()[-1].status == "confirmed"


def test_only_the_planned_stop_leaves_the_time_of_the_constraint() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", CLEANING, at=100)
    line.report("bagger", RUNNING, at=300)
    line.report("bagger", FAULT, at=400)
    line.wait(500)
    assert standing(line, "bagger")["shift", "05:00"] == 300
    confirm(line, "L1.down.1", at=500)
    assert standing(line, "bagger")["shift", "05:00"] == standing(line, None)["shift", "05:00"] == 100
