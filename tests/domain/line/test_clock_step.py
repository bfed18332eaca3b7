"""A host's clock that is set forward while the bridge runs: the hours between are no time that passed."""

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import AndonReport, CountsReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.many_lines import FAULT, MIA, ManyLines, plant_of
from tests.domain.line.many_lines import RUNNING as RUNS
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file

RUNNING = StateReport(state="running", speed=90.0)
SETUP = StateReport(state="setup")
HOUR = 3_600


def step(line: PackingLine, at: float, by: float) -> None:
    line.events += line.core.set_forward(round(by * 1000), T0 + round((at + by) * 1000))


def levels(line: PackingLine) -> list[int]:
    reported = [event.data for event in line.of(EventType.ESCALATION_UPDATE, "desk")]
    return [data.level for data in reported if isinstance(data, event_data.Escalation)]


@pytest.mark.parametrize("by", [600, 10 * HOUR])
def test_a_step_of_the_clock_makes_nothing_due(by: int) -> None:
    """A call that was raised a minute ago escalates in four minutes, not at once and not in ten hours."""
    line = PackingLine(plant_file(line_spec(equipment=equipment(heartbeat_seconds=120.0))))
    line.report("bagger", RUNNING, at=0)
    line.report("desk", AndonReport(action="raise", andon_type="safety"), at=0)
    line.report("bagger", StateReport(state="fault"), at=40)
    step(line, 60, by)
    line.wait(60 + by)
    assert levels(line) == [0]
    assert line.downtimes() == []
    assert line.statuses("bagger")[-1].status == "fault", "nobody was silent meanwhile"
    line.wait(100 + by)
    (downtime,) = line.downtimes()
    assert downtime.status == "open", "a minute of the stop has passed"
    line.wait(119 + by)
    assert levels(line)[-1] == 0
    line.wait(120 + by)
    assert levels(line)[-1] == 1


def test_the_stretch_is_unknown_in_every_window() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    step(line, 600, 2 * HOUR)
    line.wait(4 * HOUR)
    hours = closed(line)
    assert [hour.unknown_seconds for hour in hours] == [3_000, 3_600, 600, 0]
    assert [hour.actual_production_seconds for hour in hours] == [600, 0, 3_000, 3_600]


def test_a_restart_after_a_step_changes_nothing() -> None:
    lines = [PackingLine(), PackingLine()]
    for index, line in enumerate(lines):
        line.report("bagger", RUNNING, at=0)
        line.report("bagger", StateReport(state="fault"), at=590)
        step(line, 600, HOUR)
        if index:
            line.core = Line.restore(plant_file(), plant_file().lines[0], line.core.checkpoint())
        line.wait(2 * HOUR)
    assert lines[0].events == lines[1].events


def test_a_step_changes_nothing_on_a_line_without_reports() -> None:
    line = PackingLine()
    step(line, 0, HOUR)
    assert line.events == []


def troubles(by: float, stepped_at: float) -> list[tuple[object, ...]]:
    """Play fourteen breakdowns on one floor, with a step of the clock; return calls and downtimes in their own time."""
    steps = [(100 + 20 * index, f"pack-{index + 1}", FAULT) for index in range(14)]
    steps += [(700 + 50 * index, f"pack-{index + 1}", RUNS) for index in range(6)]
    steps += [(1_000 + 10 * index, f"pack-{index + 1}", FAULT) for index in range(3)]
    steps += [(second, "pack-14", FAULT) for second in range(400, 1_200, 60)]  # a machine repeats its state
    steps += [(second, "pack-15", SETUP) for second in (110, 600)]
    steps += [(second, "pack-15", FAULT) for second in (180, 360)]  # within the changeover
    floor, late = ManyLines(plant_of("pack")), 0.0
    for second, line, body in sorted(steps, key=lambda step: step[0]):
        if by and second > stepped_at and not late:
            step_all(floor, stepped_at, by)
            late = by
        floor.report(second + late, line, body)
    if by and not late:
        step_all(floor, stepped_at, by)
        late = by
    floor.wait(4 * HOUR + late)
    since = T0 + round(stepped_at * 1000)
    kinds = (EventType.ANDON_EVENT, EventType.ESCALATION_UPDATE, EventType.DOWNTIME_EVENT)
    return [
        (
            event.timestamp - (round(by * 1000) if event.timestamp > since else 0),
            event.type,
            event.place.line,
            getattr(event.data, "status", None),
            getattr(event.data, "level", None),
            getattr(event.data, "cause", None),
            getattr(event.data, "repeat", None),
        )
        for event in floor.events
        if event.type in kinds
    ]


def step_all(floor: ManyLines, at: float, by: float) -> None:
    floor.events += floor.floor.set_forward(round(by * 1000), T0 + round((at + by) * 1000))


@pytest.mark.parametrize("stepped_at", [110, 185, 365, 399, 415, 530, 710, 1_005, 1_019.5, 2_500])
@pytest.mark.parametrize("by", [30, 2 * HOUR])
def test_calls_ladders_downtimes_and_floods_continue_as_if_the_clock_had_been_right(
    by: float, stepped_at: float
) -> None:
    """Every pending deadline keeps its remaining time, at any instant of the clock step."""
    assert troubles(by, stepped_at) == troubles(0, stepped_at)


def test_an_answer_is_as_quick_as_it_was() -> None:
    """A response of 90 s is one of 90 s, though the clock was set forward by hours meanwhile."""
    floor = ManyLines(plant_of("pack"))
    floor.report(10, "pack-1", AndonReport(action="raise", andon_type="safety"))
    step_all(floor, 40, HOUR)
    floor.report(100 + HOUR, "pack-1", AndonReport(action="acknowledge", andon_type="safety"), actor=MIA)
    assert floor.calls()[-1][1].response_seconds == 90


def test_pieces_between_two_readings_are_not_of_the_time_that_was_skipped() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    for at in range(0, 601, 10):
        line.report("bagger", CountsReport(total=at // 2, good=at // 2), at=at)
    step(line, 600.1, 2 * HOUR)
    for at in range(610, 4 * HOUR, 10):
        line.report("bagger", CountsReport(total=at // 2, good=at // 2), at=at + 2 * HOUR)
    hours = closed(line)
    assert sum(hour.unknown_count for hour in hours) <= 1
    assert all(hour.performance in (None, pytest.approx(1.0, abs=0.01)) for hour in hours)


def test_a_corrected_clock_stays_right_and_a_device_that_was_right_all_along_becomes_trusted() -> None:
    """A device without time sync keeps its error, of the host's too; one with it was ahead of the host before."""
    for rule, error in (("corrected", 0), ("device", HOUR)):
        line = PackingLine(plant_file(line_spec(equipment=equipment(clock=rule))))
        for at in (0, 10):
            line.report("bagger", StateReport(state="running", ts=T0 + (at + error) * 1000), at=at)
        step(line, 20, HOUR)
        for at, state in ((30, "fault"), (40, "running")):
            line.report("bagger", StateReport(state=state, ts=T0 + (at + error) * 1000), at=at + HOUR + 2)
        statuses = line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-2:]
        assert [event.quality.clock for event in statuses] == [rule, rule]
        late = 2_000 if rule == "corrected" else 0
        assert all(
            abs(event.timestamp - T0 - (at + HOUR) * 1000) <= late for event, at in zip(statuses, (30, 40), strict=True)
        )


def test_a_device_is_not_ineffective_for_time_that_did_not_pass() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    for at in (10, 20):
        line.report("bagger", StateReport(state="no such word"), at=at)
    step(line, 30, HOUR)
    line.wait(69 + HOUR)
    assert not any(event.quality.ineffective for event in line.events)
    line.wait(70 + HOUR)
    assert line.events[-1].quality.ineffective


def test_a_step_before_an_absence_was_evaluated_makes_nothing_known() -> None:
    """Reports before and after the step prove nothing of the skipped time."""
    spec = line_spec(equipment=equipment(clock="device"))
    line = PackingLine(plant_file(spec))
    line.report("bagger", StateReport(state="running", ts=T0, boot_id=1, seq=1), at=0)
    absent(line, 300, 400)
    line.report("bagger", StateReport(state="running", ts=T0 + 400_000, boot_id=1, seq=2), at=400)
    step(line, 402, HOUR)
    line.report("bagger", StateReport(state="running", ts=T0 + 4_010_000, boot_id=1, seq=3), at=410 + HOUR)
    line.wait(4 * HOUR)
    assert sum(window.unknown_seconds for window in closed(line)) == HOUR
