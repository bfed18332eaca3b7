"""A downtime opened and split while its machine was offline: its parts when the history becomes known."""

from collections.abc import Sequence

import pytest

from bridge.domain.events import EventType
from bridge.domain.reports import ChangeoverReport
from tests.domain.line.absence.absent_devices import BufferingDevice, each_order, report_every_minute
from tests.domain.line.absence.test_absence_split import line_of
from tests.domain.line.downtime.test_downtime_turn import at_of
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import LEADER, PackingLine

ReportedPart = tuple[str, float | None, float | None, bool]
"""(category, from, to, minor)"""


def changed_over(line: PackingLine, at: float) -> None:
    line.report(None, ChangeoverReport(action="start", to_product="nuts"), at=at, actor=LEADER)


def parts(line: PackingLine) -> list[ReportedPart]:
    last = {downtime.downtime_id: downtime for downtime in line.downtimes()}
    return [
        (downtime.category, at_of(downtime.started_at), at_of(downtime.ended_at), downtime.micro_stop)
        for downtime in last.values()
    ]


def lost_while_it_stands(
    *buffered: tuple[float, str], order: str, back: float = 600, lost: Sequence[int] = (), minor_stops: bool = False
) -> PackingLine:
    """The bagger fails at 10 s and is lost at 40 s; people begin a changeover at 110 s."""
    line = line_of("device", minor_stops=minor_stops)
    machine = BufferingDevice(line)
    machine.state("running", 0)
    machine.state("fault", 10)
    machine.disconnect(40)
    changed_over(line, 110)
    for at, state in buffered:
        machine.state(state, at)
    machine.reconnect(back, order=order, lost=lost)
    report_every_minute(machine, back + 50, 3_660)
    return line


def down(line: PackingLine) -> float:
    hour = closed(line)[-1]
    return hour.planned_busy_seconds - hour.actual_production_seconds


@each_order
def test_a_changeover_that_began_while_the_line_ran_is_no_part_of_a_minor_stop(order: str) -> None:
    """The breakdown that follows is a separate downtime, and calls."""
    line = lost_while_it_stands((45, "running"), (300, "fault"), order=order)
    assert parts(line) == [
        ("unplanned", 10, 45, True),
        ("changeover", 110, 110, True),
        ("unplanned", 300, None, False),
    ]
    calls = [event.data for event in line.of(EventType.ANDON_EVENT, "bagger")]
    assert "L1.down.3" in {getattr(call, "downtime_id", None) for call in calls}
    assert down(line) == 3_300


@each_order
def test_all_parts_of_what_was_no_downtime_are_minor_stops(order: str) -> None:
    """A changeover ran before it stood, and the fault split it."""
    line = line_of("device")
    bagger = BufferingDevice(line)
    bagger.state("running", 0)
    changed_over(line, 9)
    for at, state in ((10, "stopped"), (40, "fault")):
        bagger.state(state, at)
    bagger.disconnect(50)
    bagger.state("running", 60)
    line.wait(200)
    assert parts(line) == [("changeover", 10, 40, False), ("unplanned", 40, None, False)]
    bagger.reconnect(300, order=order)
    report_every_minute(bagger, 350, 3_660)
    assert parts(line) == [("changeover", 10, 40, True), ("unplanned", 40, 60, True)]
    assert down(line) == 0


def test_parts_of_unknown_duration_are_withdrawn() -> None:
    """A report is missing soon after the machine was lost."""
    line = lost_while_it_stands((45, "fault"), (300, "running"), (500, "running"), order="in order", lost=[1])
    assert parts(line) == [("unplanned", 10, 10, True), ("changeover", 110, 110, True)]
    assert down(line) == 0


def test_parts_of_a_stop_that_lasted_stay() -> None:
    line = lost_while_it_stands((300, "running"), order="in order")
    assert parts(line) == [("unplanned", 10, 110, False), ("changeover", 110, 300, False)]
    assert down(line) == 290


@pytest.mark.parametrize("again", [200, 300])
def test_a_part_that_began_after_a_downtime_was_over_is_none(again: float) -> None:
    line = lost_while_it_stands((90, "running"), (again, "fault"), order="in order")
    assert parts(line) == [
        ("unplanned", 10, 90, False),
        ("changeover", 110, 110, True),
        ("unplanned", again, None, False),
    ]
    assert down(line) == 80 + 3_600 - again


def test_a_part_that_began_in_the_next_downtime_is_of_that() -> None:
    """It is not taken back first, to be reported again under another id."""
    line = lost_while_it_stands((45, "running"), (90, "fault"), order="in order")
    assert parts(line) == [("unplanned", 10, 45, True), ("changeover", 90, None, False)]
    assert down(line) == 3_510


def test_a_downtime_that_was_none_is_one_minor_stop_where_those_are_asked_for() -> None:
    line = line_of("device", minor_stops=True)
    bagger = BufferingDevice(line)
    bagger.state("running", 0)
    bagger.state("fault", 10)
    bagger.disconnect(40)
    bagger.state("running", 45)
    line.wait(590)
    bagger.reconnect(600)
    report_every_minute(bagger, 650, 3_660)
    assert parts(line) == [("unplanned", 10, 45, True)]


@each_order
def test_the_next_minor_stop_is_reported_whole_where_those_are_asked_for(order: str) -> None:
    """A downtime began within a stretch that proved to be none; it is withdrawn."""
    buffered = ((45, "running"), (100, "fault"), (130, "running"))
    line = lost_while_it_stands(*buffered, order=order, minor_stops=True)
    assert parts(line) == [
        ("unplanned", 10, 45, True),
        ("changeover", 110, 110, True),
        ("unplanned", 100, 130, True),
    ]
