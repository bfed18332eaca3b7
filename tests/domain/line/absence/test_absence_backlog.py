"""A backlog without a trusted clock: it counts as of when it comes, and one report after the other."""

import pytest

from bridge.domain.events import EventType
from bridge.domain.reports import DeathReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import T0, PackingLine


def test_an_open_downtime_is_revised_by_what_comes_not_when_the_backlog_is_over() -> None:
    line = PackingLine()
    line.report("bagger", StateReport(state="idle", upstream_stop=True), at=0)
    line.wait(90)
    absent(line, 100, 200)
    before = len(line.of(EventType.DOWNTIME_EVENT))
    line.report("bagger", StateReport(state="fault", fault_codes=["E-STOP"]), at=200)
    revised = line.of(EventType.DOWNTIME_EVENT)[before:]
    assert [(event.timestamp, line.downtimes()[-1].cause) for event in revised] == [(T0 + 200_000, "internal")]


@pytest.mark.parametrize("away", [False, True], ids=["watched", "after an absence"])
def test_reports_of_one_instant_count_one_after_the_other(*, away: bool) -> None:
    """The feeder stopped the bagger, and runs again before the bagger's next report."""
    line = PackingLine()
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, StateReport(state="running"), at=0)
    if away:
        absent(line, 100, 200)
    for machine, body in (
        ("packer", StateReport(state="running")),
        ("feeder", StateReport(state="fault")),
        ("bagger", StateReport(state="idle", upstream_stop=True)),
        ("feeder", StateReport(state="running")),
        ("bagger", StateReport(state="stopped")),
    ):
        line.report(machine, body, at=200)
    line.wait(300)
    assert [(downtime.cause, downtime.cause_equipment) for downtime in line.downtimes()] == [("upstream", "feeder")]


@pytest.mark.parametrize("equipment_id", ["bagger", None], ids=["the machine", "its gateway"])
def test_a_loss_within_the_backlog_is_unknown_from_then_on(equipment_id: str | None) -> None:
    """The death of a gateway is that of all its machines, also while an absence has not been evaluated."""
    line = PackingLine()
    line.report("bagger", StateReport(state="running"), at=0)
    line.report("bagger", StateReport(state="fault"), at=60)
    absent(line, 300, 400)
    line.report("bagger", StateReport(state="fault"), at=400.01)
    line.report("bagger", StateReport(state="running"), at=400.02)
    line.report(equipment_id, DeathReport(), at=400.03)
    line.wait(3_600)
    (hour,) = closed(line)
    down = hour.planned_busy_seconds - hour.actual_production_seconds
    assert (down, hour.unknown_seconds) == pytest.approx((240.02, 3_299.98), abs=0.001)


@pytest.mark.parametrize("dies", [False, True])
def test_a_stop_that_begins_in_a_backlog_is_lost_time_from_its_beginning(*, dies: bool) -> None:
    """Also where the machine dies in it: it is stopped, before the absence is evaluated as after."""
    line = PackingLine()
    line.report("bagger", StateReport(state="running"), at=0)
    absent(line, 100, 200)
    line.report("bagger", StateReport(state="running"), at=200)
    line.report("bagger", StateReport(state="fault"), at=201)
    if dies:
        line.report("bagger", DeathReport(), at=202)
    line.wait(400)
    hour = line.oee("hour")[-1]
    assert (hour.unknown_seconds, hour.actual_production_seconds) == (100, 101)
