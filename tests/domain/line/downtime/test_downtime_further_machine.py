"""A further machine that keeps the line standing in the same downtime: it calls, and the first cause stays."""

from typing import Final

import pytest

from bridge.domain.event_data import Andon
from bridge.domain.events import EventType
from bridge.domain.line.floor import Floor
from bridge.domain.line.plant_migration import migrate_floor
from bridge.domain.reports import ChangeoverReport, DowntimeReport, StateReport
from tests.domain.line.stopped_line import (
    BAGGER_CALLED,
    BLOCKED,
    CANCEL,
    FAULT,
    FEEDER_CALLED,
    HOUR,
    MAINTENANCE,
    PRESS,
    RESOLVE,
    RUNNING,
    StopStep,
    called,
    causes,
    play,
    raised,
)
from tests.support.packing_line import T0, equipment, line_spec, plant_file, seconds

JAMMED: Final = StateReport(state="fault", fault_codes=["REEL"], reason_code="MAT_JAM")
BAGGER_THEN_PACKER: Final[list[StopStep]] = [*BAGGER_CALLED, (340, "packer", FAULT), (350, "bagger", BLOCKED)]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("resolved_at", [400, 530, 700])
@pytest.mark.parametrize(
    ("first", "cause"),
    [(FEEDER_CALLED, ("upstream", "feeder")), (BAGGER_CALLED, ("internal", "bagger"))],
    ids=["a neighbour", "its own fault"],
)
def test_a_machine_that_fails_after_the_first_was_called_and_repaired_calls(
    first: list[StopStep], cause: tuple[str, str], resolved_at: float, *, restarts: bool
) -> None:
    """Whichever of the two findings is the better one: the time counts from when the further one stops the line."""
    steps: list[StopStep] = [(resolved_at, cause[1], RESOLVE), (520, "packer", FAULT), (525, "feeder", RUNNING)]
    steps += [(526, "bagger", BLOCKED)]
    line = play(*sorted([*first, *steps], key=lambda step: step[0]), until=4 * HOUR, restarts=restarts)
    assert called(line) == [(311, cause[1]), (826, "packer")]
    assert causes(line) == {("L1.down.1", *cause)}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("cleared_at", [20, 61, 200, 310])
def test_the_call_goes_to_the_machine_that_stops_the_line_when_it_is_due(cleared_at: float, *, restarts: bool) -> None:
    """The bagger was repaired before anybody was called: whether the stop was a downtime by then or not."""
    steps = [*BAGGER_CALLED, (cleared_at - 1, "packer", FAULT), (cleared_at, "bagger", BLOCKED)]
    line = play(*steps, until=4 * HOUR, restarts=restarts)
    assert called(line) == [(311, "packer")]
    assert causes(line) == {("L1.down.1", "internal", "bagger")}


@pytest.mark.parametrize("resolved", [False, True])
@pytest.mark.parametrize("first", [[*FEEDER_CALLED, (101, "bagger", BLOCKED)], BAGGER_CALLED], ids=["feeder", "bagger"])
def test_of_two_machines_that_are_broken_at_once_the_first_is_called(first: list[StopStep], *, resolved: bool) -> None:
    """Whichever of them the bagger says that it waits for."""
    machine = first[0][1]
    answer: list[StopStep] = [(400, machine, RESOLVE)] if resolved else []
    line = play((5, "packer", FAULT), *first, *answer, until=4 * HOUR)
    assert called(line) == [(311, machine)]


def test_a_further_machine_adds_no_call_while_the_call_of_the_downtime_is_open() -> None:
    assert called(play(*BAGGER_THEN_PACKER, until=4 * HOUR)) == [(311, "bagger")]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("over_at", [400, 640, 650, 660, 700, 3_000])
def test_a_further_machine_calls_once_the_call_of_the_downtime_is_over(over_at: float, *, restarts: bool) -> None:
    """By its own time; where that has passed, at once."""
    for answer in (RESOLVE, CANCEL):
        steps: list[StopStep] = [*BAGGER_THEN_PACKER, (over_at, "bagger", answer)]
        line = play(*steps, until=4 * HOUR, restarts=restarts)
        assert called(line) == [(311, "bagger"), (max(over_at, 650), "packer")]


def test_a_further_machine_waits_for_a_person_who_took_the_call_over() -> None:
    steps: list[StopStep] = [*BAGGER_THEN_PACKER, (400, "desk", PRESS)]
    assert called(play(*steps, until=4 * HOUR)) == [(311, "bagger"), (400, "desk")]
    steps += [(700, "desk", RESOLVE)]
    assert called(play(*steps, until=4 * HOUR)) == [(311, "bagger"), (400, "desk"), (700, "packer")]


def test_a_call_at_the_further_machine_itself_is_its_call_though_another_is_open() -> None:
    for pressed_at in (500, 900):
        line = play(*BAGGER_THEN_PACKER, (pressed_at, "packer", PRESS), (1_000, "bagger", RESOLVE), until=4 * HOUR)
        assert called(line) == [(311, "bagger"), (pressed_at, "packer")]
        linked = [
            (seconds(event.timestamp), event.data.downtime_id)
            for event in line.of(EventType.ANDON_EVENT, "packer")
            if isinstance(event.data, Andon) and event.data.downtime_id
        ]
        assert linked[0] == (max(pressed_at, 650), "L1.down.1")


def test_no_late_call_is_made_for_a_further_machine_that_runs_again() -> None:
    attended: list[StopStep] = [*BAGGER_THEN_PACKER, (655, "packer", MAINTENANCE), (700, "bagger", RESOLVE)]
    assert called(play(*attended, until=4 * HOUR)) == [(311, "bagger")]
    assert called(play(*attended, (800, "packer", FAULT), until=4 * HOUR)) == [(311, "bagger"), (1_100, "packer")]
    again: list[StopStep] = [(655, "packer", RUNNING), (656, "bagger", FAULT), (700, "bagger", RESOLVE)]
    assert called(play(*BAGGER_THEN_PACKER, *again, until=4 * HOUR)) == [(311, "bagger")], "its own call was open"


def test_a_changeover_leaves_a_call_that_was_put_off_due() -> None:
    steps: list[StopStep] = [*BAGGER_THEN_PACKER, (400, "bagger", StateReport(state="setup"))]
    assert called(play(*steps, until=4 * HOUR)) == [(311, "bagger")]
    assert called(play(*steps, (700, "bagger", RESOLVE), until=4 * HOUR)) == [(311, "bagger"), (700, "packer")]


def test_how_often_a_call_that_was_put_off_is_looked_at_changes_nothing() -> None:
    steps: list[StopStep] = [*BAGGER_THEN_PACKER, (700, "feeder", RUNNING), (900, "bagger", RESOLVE)]
    ticked = play(*steps, until=1_200, tick_every=7)
    assert ticked.events == play(*steps, until=1_200).events


def test_the_reason_of_the_further_machine_states_who_is_called_and_when() -> None:
    steps = [*BAGGER_CALLED, (400, "bagger", RESOLVE), (500, "packer", JAMMED), (510, "bagger", BLOCKED)]
    line = play(*steps, until=4 * HOUR)
    assert raised(line) == [(311, "bagger", "equipment"), (510 + 20 * 60, "packer", "material")]
    assert line.downtimes()[-1].reason_code is None


@pytest.mark.parametrize("code", ["MAT_JAM", "CLEAN"])
@pytest.mark.parametrize("classified_at", [100, 350])
def test_a_reason_for_the_first_machine_does_not_apply_to_the_further_one(code: str, classified_at: float) -> None:
    """Neither whether people are called to it, nor when, nor whom."""
    report = DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code=code)
    steps: list[StopStep] = [*BAGGER_CALLED, (classified_at, None, report), (400, "bagger", RESOLVE)]
    steps += [(520, "packer", FAULT), (526, "bagger", BLOCKED)]
    line = play(*steps, until=4 * HOUR)
    first = [(311, "bagger", "equipment")] if classified_at > 311 else []
    keeps_time = code == "MAT_JAM" and not first  # a call that was not made yet keeps its time
    assert raised(line) == [*first, (526 if keeps_time else 826, "packer", "equipment")]
    assert line.downtimes()[-1].reason_code == code
    if not keeps_time:
        assert raised(play(*steps, (600, "packer", MAINTENANCE), until=4 * HOUR)) == first
        jam = StateReport(state="maintenance", reason_code="MAT_JAM")
        assert raised(play(*steps, (530, "packer", JAMMED), (600, "packer", jam), until=4 * HOUR)) == first


def test_a_machine_that_was_repaired_under_maintenance_hides_no_further_one() -> None:
    steps = [*BAGGER_CALLED, (350, "bagger", MAINTENANCE), (400, "bagger", RESOLVE)]
    line = play(*steps, (500, "packer", FAULT), (510, "bagger", BLOCKED), until=4 * HOUR)
    assert called(line) == [(311, "bagger"), (810, "packer")]
    assert line.downtimes()[-1].category == "unplanned"


@pytest.mark.parametrize("state", ["maintenance", "setup"])
def test_a_machine_that_somebody_works_on_is_no_further_one(state: str) -> None:
    steps = [*BAGGER_CALLED, (400, "bagger", RESOLVE), (500, "packer", StateReport(state=state))]
    assert called(play(*steps, (510, "bagger", BLOCKED), until=4 * HOUR)) == [(311, "bagger")]


def test_a_third_machine_calls_as_well() -> None:
    steps = [*FEEDER_CALLED, (400, "feeder", RESOLVE), (500, "packer", FAULT), (501, "feeder", RUNNING)]
    steps += [(502, "bagger", BLOCKED), (900, "packer", RESOLVE), (1_000, "packer", RUNNING), (1_001, "bagger", FAULT)]
    line = play(*steps, until=4 * HOUR)
    assert called(line) == [(311, "feeder"), (802, "packer"), (1_301, "bagger")]


def test_the_first_machine_that_fails_again_is_called_again() -> None:
    steps = [*BAGGER_CALLED, (400, "bagger", RESOLVE), (500, "packer", FAULT), (501, "bagger", BLOCKED)]
    steps += [(900, "packer", RESOLVE), (1_000, "packer", RUNNING), (1_001, "bagger", FAULT)]
    assert called(play(*steps, until=4 * HOUR)) == [(311, "bagger"), (801, "packer"), (1_301, "bagger")]


def test_machines_that_fail_in_turn_put_no_call_off() -> None:
    steps: list[StopStep] = [(11, "bagger", FAULT)]
    for at in range(50, HOUR, 100):
        steps += [(at, "packer", FAULT), (at + 1, "bagger", BLOCKED)]
        steps += [(at + 50, "bagger", FAULT), (at + 51, "packer", RUNNING)]
    assert called(play(*steps, until=HOUR)) == [(311, "bagger")]


def test_a_changeover_leaves_the_call_of_the_further_machine_due() -> None:
    steps = [*BAGGER_CALLED, (100, "packer", FAULT), (110, "bagger", BLOCKED)]
    steps += [(200, "bagger", StateReport(state="setup"))]
    assert called(play(*steps, until=HOUR)) == [(311, "packer")]
    assert called(play(*steps, (250, "packer", RUNNING), until=HOUR)) == []


def test_a_changeover_that_somebody_reports_leaves_it_due_too() -> None:
    steps = [*BAGGER_CALLED, (100, "packer", FAULT), (110, "bagger", BLOCKED)]
    steps += [(200, "bagger", ChangeoverReport(action="start", to_product="nuts"))]
    line = play(*steps, until=HOUR)
    assert called(line) == [(311, "packer")]
    assert line.downtimes()[-1].category == "changeover"


def test_no_call_is_made_for_a_further_machine_that_left_the_plant() -> None:
    line = play(*BAGGER_CALLED, (100, "packer", FAULT), (110, "bagger", BLOCKED), until=120)
    without_packer = tuple(machine for machine in equipment() if machine.id != "packer")
    floor = Floor(line.plant_file, {"L1": line.core.checkpoint()})
    floor, events = migrate_floor(floor, plant_file(line_spec(equipment=without_packer)), T0 + 120_000, cause="input:9")
    events += tuple(event for _, fired in floor.tick(T0 + 4 * HOUR * 1_000) for event in fired)
    calls = {event.place.equipment for event in events if event.type is EventType.ANDON_EVENT}
    assert calls == {"bagger"}, "the first one that is there"
