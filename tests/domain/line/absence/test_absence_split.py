"""A downtime whose category changes during an open absence: its parts stay adjacent after later reports."""

from collections.abc import Sequence

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.reports import ChangeoverReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.absence.test_absence_lost_time import inside, lost, spans
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file

SHIFT_END = 12 * 3_600
Reports = Sequence[tuple[float, str]]


def dated(line: PackingLine, state: str, at: float, ts: float) -> None:
    line.report("bagger", StateReport(state=state, ts=T0 + round(ts * 1000)), at=at)


def line_of(clock: str, *, minor_stops: bool = False) -> PackingLine:
    line = PackingLine(plant_file(line_spec(equipment=equipment(clock=clock)), report_minor_stops=minor_stops))
    for machine in ("feeder", "packer"):
        line.report(machine, StateReport(state="running"), at=0)
    return line


def with_absence(
    reports: Reports, *, back: float = 320, clock: str = "device", until: float = 600, restore: bool = False
) -> PackingLine:
    """The bagger fails at 0, the bridge is absent from 100 to 300, and a backlog comes at `back`."""
    line = line_of(clock)
    dated(line, "fault", 0, 0)
    absent(line, 100, 300)
    for index, (ts, state) in enumerate(reports):
        dated(line, state, back + index / 100, ts)
        if restore:
            line.restart()
    line.wait(until)
    return line


def last(line: PackingLine) -> list[event_data.Downtime]:
    latest = {downtime.downtime_id: downtime for downtime in line.downtimes()}
    return list(latest.values())


def kinds(line: PackingLine) -> list[tuple[str, str]]:
    return [(downtime.category, downtime.cause) for downtime in last(line)]


@pytest.mark.parametrize("restore", [False, True])
def test_a_changeover_after_the_end_of_a_stop_is_a_separate_downtime(*, restore: bool) -> None:
    line = with_absence([(200, "running"), (290, "setup")], restore=restore)
    assert spans(line, 600) == [(0, 200), (290, 600)]
    assert [downtime.category for downtime in last(line)] == ["unplanned", "changeover"]
    assert [downtime.status for downtime in line.downtimes()] == ["open", "closed", "open"], (
        "nothing that never was is sent"
    )


def test_an_observation_after_the_stop_is_not_its_cause() -> None:
    line = line_of("device")
    dated(line, "stopped", 0, 0)
    absent(line, 100, 300)
    for ts, state in ((200, "running"), (290, "fault")):
        dated(line, state, 320, ts)
    line.wait(600)
    assert [(downtime.cause, downtime.status) for downtime in last(line)] == [
        ("unknown", "closed"),
        ("internal", "open"),
    ]


@pytest.mark.parametrize("clock", ["device", "receive"])
def test_a_changeover_within_the_stop_splits_it_where_it_began(clock: str) -> None:
    """As far as that is known: without a trusted clock it began when it was seen."""
    began = 180 if clock == "device" else 320
    line = with_absence([(180, "setup"), (290, "setup")], clock=clock)
    assert spans(line, 600) == [(0, began), (began, 600)]
    assert [downtime.category for downtime in last(line)] == ["unplanned", "changeover"]
    times = [event.timestamp for event in line.events]
    assert times == sorted(times)


@pytest.mark.parametrize(
    "reports",
    [
        [(110, "setup"), (150, "fault"), (200, "fault"), (240, "setup"), (300, "running")],
        [(110, "setup"), (150, "fault"), (205, "setup"), (290, "fault")],
        [(110, "setup"), (250, "fault"), (300, "running")],
        [(110, "setup"), (160, "running"), (165, "fault"), (240, "running"), (295, "setup")],
        [(110, "running"), (119, "setup"), (170, "fault")],
    ],
)
def test_a_stop_is_split_as_if_it_had_been_watched(reports: Reports) -> None:
    watched = line_of("device")
    for at, state in [(0, "fault"), *reports]:
        dated(watched, state, at, at)
    watched.wait(600)
    line = with_absence(reports)
    assert spans(line, 600) == spans(watched, 600)
    assert kinds(line) == kinds(watched)


def test_without_trusted_clocks_it_splits_at_once() -> None:
    line = with_absence([(320, "setup")], clock="receive", until=320.5)
    assert spans(line, 320.5) == [(0, 320), (320, 320.5)]


@pytest.mark.parametrize("clock", ["device", "receive"])
def test_the_end_of_the_shift_while_nothing_is_evaluated_makes_no_part_longer_than_it_was(clock: str) -> None:
    """Two machines that decide stay silent, so patience ends half a second after the shift."""
    machines = [machine.model_copy(update={"clock": clock}) for machine in equipment()[:3]]
    line = PackingLine(plant_file(line_spec(constraint=None, equipment=(*machines, equipment()[3]))))
    line.report("packer", StateReport(state="setup"), at=SHIFT_END - 340)
    absent(line, SHIFT_END - 215, SHIFT_END - 90)
    line.report("packer", StateReport(state="fault"), at=SHIFT_END - 89.5)
    line.wait(SHIFT_END + 200)
    downtimes = spans(line, SHIFT_END + 200)
    fault = [(SHIFT_END - 89.5, SHIFT_END)] if clock == "receive" else []
    assert downtimes == [(SHIFT_END - 340, fault[0][0] if fault else SHIFT_END), *fault]
    for window in closed(line, "shift"):
        assert lost(window) <= inside(window, downtimes)


def test_a_stop_that_ended_before_the_shift_ends_at_its_own_end() -> None:
    line = line_of("device")
    dated(line, "fault", SHIFT_END - 300, SHIFT_END - 300)
    absent(line, SHIFT_END - 200, SHIFT_END - 10)
    dated(line, "running", SHIFT_END - 2, SHIFT_END - 150)
    line.wait(SHIFT_END + 100)
    assert spans(line, SHIFT_END + 100) == [(SHIFT_END - 300, SHIFT_END - 150)]


def test_a_changeover_that_people_start_meanwhile_splits_at_the_latest_when_it_was_evaluated() -> None:
    line = line_of("device")
    dated(line, "fault", 0, 0)
    absent(line, 100, 300)
    dated(line, "fault", 320, 300)
    line.report("desk", ChangeoverReport(action="start", to_product="nuts"), at=321)
    line.wait(600)
    (before, after) = spans(line, 600)
    assert before[1] == after[0]
    assert 321 <= before[1] <= 326
    assert len(line.of(EventType.CHANGEOVER_STARTED)) == 1


@pytest.mark.parametrize("ran", [False, True])
def test_a_changeover_that_people_start_during_silence_splits_at_once(*, ran: bool) -> None:
    """No machine may report for hours. Where late reports show that the line ran, that part was no downtime."""
    line = line_of("device")
    dated(line, "fault", 0, 0)
    absent(line, 100, 300)
    line.report("desk", ChangeoverReport(action="start", to_product="nuts"), at=321)
    assert spans(line, 321.5) == [(0, 321), (321, 321.5)]
    if ran:
        dated(line, "running", 400, 200)
        dated(line, "running", 400.1, 300)
    dated(line, "running", 400.2, 400)
    line.wait(600)
    assert spans(line, 600) == ([(0, 200)] if ran else [(0, 321), (321, 400)])
