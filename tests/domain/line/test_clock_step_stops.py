"""A clock that is set forward during a stop or a restart: both are as long as they were, and began when they did."""

import pytest

from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import StateReport
from bridge.domain.utc_time import rfc3339
from tests.domain.line.test_clock_step import HOUR, step
from tests.support.packing_line import T0, PackingLine

SHIFT_END = 12 * HOUR
MACHINES = ("feeder", "bagger", "packer")


def stopped(since: float, until: float, *, stepped_at: float | None = None, by: float = HOUR) -> PackingLine:
    """Stop the bagger for a while; set the clock forward during the stop or the restart."""
    line, late = PackingLine(), 0.0
    for machine in MACHINES:
        line.report(machine, StateReport(state="running"), at=since - 500)
    line.report("bagger", StateReport(state="fault"), at=since)
    if stepped_at is not None and stepped_at < until:
        step(line, stepped_at, by)
        late = by
    line.report("bagger", StateReport(state="running"), at=until + late)
    if stepped_at is not None and stepped_at >= until:
        step(line, stepped_at, by)
        late = by
    line.wait(until + late + 300)
    return line


def lost(line: PackingLine) -> float:
    shifts = {window.window_start: window for window in line.oee("shift")}
    return sum(shift.planned_busy_seconds - shift.actual_production_seconds for shift in shifts.values())


def at(second: float) -> str:
    return rfc3339(T0 + round(second * 1000))


@pytest.mark.parametrize("stepped_at", [1_000, 1_001, 1_050, 1_059.999, 1_060, 1_100, 1_200, 1_209])
def test_no_time_of_the_stop_before_the_step_is_forgotten_and_none_is_added(stepped_at: float) -> None:
    line = stopped(1_000, 1_200, stepped_at=stepped_at)
    assert lost(line) == lost(stopped(1_000, 1_200)) == 200
    last = line.downtimes()[-1]
    assert (last.status, last.started_at) == ("closed", at(1_000)), "it began when it began"
    assert last.ended_at == at(1_200 if stepped_at >= 1_200 else 1_200 + HOUR)


@pytest.mark.parametrize("stepped_at", [1_010, 1_020, 1_029])
def test_a_stop_is_no_longer_for_the_step(stepped_at: float) -> None:
    line = stopped(1_000, 1_030, stepped_at=stepped_at)
    assert (line.downtimes(), lost(line)) == ([], 0)


def test_a_minor_stop_is_as_long_as_it_was() -> None:
    line = PackingLine()
    line.plant_file = line.plant_file.model_copy(
        update={"rules": line.plant_file.rules.model_copy(update={"report_minor_stops": True})}
    )
    line.core = Line(line.plant_file, line.plant_file.lines[0])
    line.report("bagger", StateReport(state="running"), at=0)
    line.report("bagger", StateReport(state="stopped"), at=100)
    step(line, 110, HOUR)
    line.report("bagger", StateReport(state="running"), at=130 + HOUR)
    (minor,) = line.downtimes()
    assert (minor.micro_stop, minor.duration_seconds) == (True, 30)


@pytest.mark.parametrize("stepped_at", [SHIFT_END - 61, SHIFT_END - 65])
def test_a_restart_before_the_step_ends_the_downtime_where_the_shift_ends_within_it(stepped_at: float) -> None:
    line = stopped(SHIFT_END - 156, SHIFT_END - 70, stepped_at=stepped_at)
    (event,) = [event for event in line.of(EventType.DOWNTIME_EVENT) if getattr(event.data, "status", None) == "closed"]
    assert event.timestamp == T0 + SHIFT_END * 1000
    last = line.downtimes()[-1]
    assert (last.duration_seconds, last.ended_at) == (86, at(SHIFT_END - 70))


def test_a_call_for_a_stop_that_the_step_fell_into_is_due_after_its_own_time() -> None:
    line = stopped(1_000, 1_400, stepped_at=1_050)
    calls = line.of(EventType.ANDON_EVENT, "bagger")
    assert calls[0].timestamp == T0 + (1_300 + HOUR) * 1000


def test_a_restart_of_the_bridge_within_the_stop_changes_nothing() -> None:
    lines = [PackingLine(), PackingLine()]
    for index, line in enumerate(lines):
        line.report("bagger", StateReport(state="running"), at=0)
        line.report("bagger", StateReport(state="fault"), at=1_000)
        step(line, 1_050, HOUR)
        if index:
            line.restart()
        line.report("bagger", StateReport(state="running"), at=1_200 + HOUR)
        line.wait(1_500 + HOUR)
    assert lines[0].events == lines[1].events
