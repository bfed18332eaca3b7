"""A reason that suppresses the call for a stopped line holds only while it lasts; then the time restarts."""

from typing import Final

import pytest

from bridge.domain.reports import ChangeoverReport, DeathReport, DowntimeReport, JobReport, StateReport
from tests.domain.line.stopped_line import (
    BLOCKED,
    FAULT,
    HOUR,
    MAINTENANCE,
    RESOLVE,
    RUNNING,
    STARVED,
    STOPPED,
    StopStep,
    called,
    causes,
    play,
)

SETUP: Final = StateReport(state="setup")
IDLE: Final = StateReport(state="idle")
PLANNED: Final = StateReport(state="running", planned_stop=True)
JAM: Final = StateReport(state="fault", fault_codes=["JAM"], reason_code="MAT_JAM")
JAM_ATTENDED: Final = StateReport(state="maintenance", fault_codes=["JAM"], reason_code="MAT_JAM")
JOB: Final = JobReport(action="assign", job_id="J", product="crisps", target_quantity=9)
START: Final = JobReport(action="start", job_id="J")

OUT_OF_ORDERS: Final[list[StopStep]] = [
    (1, None, JOB),
    (2, None, START),
    (10, None, JobReport(action="complete", job_id="J")),
    (11, "bagger", IDLE),
]
NEXT_ORDER: Final[list[StopStep]] = [
    (600, None, JobReport(action="assign", job_id="K", product="crisps", target_quantity=9)),
    (600, None, JobReport(action="start", job_id="K")),
]
CHANGEOVER: Final[list[StopStep]] = [(10, None, ChangeoverReport(action="start", to_product="nuts"))]
CHANGED_OVER: Final[list[StopStep]] = [(600, None, ChangeoverReport(action="complete", to_product="nuts"))]
LEFT: Final[list[StopStep]] = [(600, "bagger", STOPPED)]

QUIET: Final[dict[str, tuple[list[StopStep], list[StopStep]]]] = {
    "under maintenance": ([(11, "bagger", MAINTENANCE)], LEFT),
    "in setup": ([(11, "bagger", SETUP)], LEFT),
    "a fault that somebody works on": ([(11, "bagger", FAULT), (60, "bagger", MAINTENANCE)], LEFT),
    "a neighbour under maintenance": (
        [(10, "feeder", MAINTENANCE), (11, "bagger", STARVED)],
        [(600, "feeder", RUNNING), (600, "bagger", STOPPED)],
    ),
    "a neighbour's fault that somebody works on": (
        [(10, "feeder", FAULT), (11, "bagger", STARVED), (60, "feeder", MAINTENANCE)],
        [(600, "feeder", RUNNING), (600, "bagger", STOPPED)],
    ),
    "a neighbour's planned work": (
        [(10, "feeder", StateReport(state="maintenance", reason_code="CLEAN")), (11, "bagger", STARVED)],
        [(600, "feeder", RUNNING), (600, "bagger", STOPPED)],
    ),
    "starved from outside the line": ([(11, "bagger", STARVED)], LEFT),
    "blocked from outside the line": ([(11, "bagger", BLOCKED)], LEFT),
    "planned": ([(11, "bagger", PLANNED)], LEFT),
    "without an order": (OUT_OF_ORDERS, NEXT_ORDER),
    "a changeover": ([*CHANGEOVER, (11, "bagger", STOPPED)], CHANGED_OVER),
}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(("quiet", "over"), QUIET.values(), ids=QUIET)
def test_a_line_that_is_left_stopped_is_called_for(
    quiet: list[StopStep], over: list[StopStep], *, restarts: bool
) -> None:
    """The call names the stopped machine, five minutes after the last reason not to call."""
    assert called(play(*quiet, until=4 * HOUR, restarts=restarts)) == []
    assert called(play(*quiet, *over, until=899, restarts=restarts)) == []
    assert called(play(*quiet, *over, until=4 * HOUR, restarts=restarts)) == [(900, "bagger")]


@pytest.mark.parametrize("neighbour", ["feeder", "packer"])
@pytest.mark.parametrize(("fault", "attended"), [(FAULT, MAINTENANCE), (FAULT, SETUP), (JAM, JAM_ATTENDED)])
def test_no_call_is_made_while_the_culprit_is_attended(
    neighbour: str, fault: StateReport, attended: StateReport
) -> None:
    waits = STARVED if neighbour == "feeder" else BLOCKED
    steps: list[StopStep] = [(10, neighbour, fault), (11, "bagger", waits)]
    assert called(play(*steps, (60, neighbour, attended), until=4 * HOUR)) == []
    assert len(called(play(*steps, until=4 * HOUR))) == 1


def test_a_fault_that_returns_after_somebody_worked_on_it_calls_by_its_own_time() -> None:
    steps: list[StopStep] = [(11, "bagger", FAULT), (60, "bagger", MAINTENANCE), (200, "bagger", FAULT)]
    line = play(*steps, until=4 * HOUR)
    assert called(line) == [(500, "bagger")]
    assert causes(line) == {("L1.down.1", "internal", "bagger")}


def test_somebody_at_another_machine_is_not_at_the_one_that_is_broken() -> None:
    """The feeder is in fault; meanwhile somebody works on the packer, and then on the bagger that stands anyway."""
    steps: list[StopStep] = [(10, "feeder", FAULT), (11, "bagger", STARVED)]
    packer: list[StopStep] = [(60, "packer", MAINTENANCE), (61, "bagger", BLOCKED)]
    assert called(play(*steps, *packer, until=4 * HOUR)) == [(311, "feeder")]
    assert called(play(*steps, (60, "bagger", MAINTENANCE), until=4 * HOUR)) == [(311, "feeder")]


def test_no_call_is_made_for_a_repaired_machine_while_the_next_one_is_attended() -> None:
    steps: list[StopStep] = [(10, "feeder", FAULT), (11, "bagger", STARVED), (60, "packer", MAINTENANCE)]
    line = play(*steps, (70, "feeder", RUNNING), (71, "bagger", BLOCKED), until=4 * HOUR)
    assert called(line) == []


def test_a_known_breakdown_keeps_its_time_where_its_machine_waits_for_others_meanwhile() -> None:
    """A machine that trips again and again, and is starved in between, has stood for an hour."""
    steps: list[StopStep] = []
    for at in range(11, HOUR, 100):
        steps += [(at, "bagger", FAULT), (at + 50, "bagger", STARVED)]
    assert called(play(*steps, until=HOUR)) == [(311, "bagger")]


def test_people_are_called_to_the_machine_that_is_left_stopped_not_to_the_one_that_was_repaired() -> None:
    steps: list[StopStep] = [(10, "feeder", FAULT), (11, "bagger", STARVED)]
    steps += [(100, "feeder", RUNNING), (101, "bagger", STOPPED)]
    line = play(*steps, until=4 * HOUR)
    assert called(line) == [(311, "bagger")]
    assert causes(line) == {("L1.down.1", "upstream", "feeder")}
    solved: list[StopStep] = [(400, "feeder", RESOLVE), (500, "feeder", RUNNING), (510, "bagger", STOPPED)]
    assert called(play(*steps[:2], *solved, until=4 * HOUR)) == [(311, "feeder"), (810, "bagger")]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(("resolved_at", "again"), [(400, [(900, "bagger")]), (1_000, [])])
@pytest.mark.parametrize("left", [STOPPED, FAULT])
def test_a_machine_that_is_left_stopped_by_those_who_were_called_is_called_for_again(
    left: StateReport, resolved_at: float, again: list[tuple[float, str]], *, restarts: bool
) -> None:
    """By the call that is open still, or else by another one."""
    steps: list[StopStep] = [(11, "bagger", FAULT), (350, "bagger", MAINTENANCE), (600, "bagger", left)]
    assert called(play(*steps, until=4 * HOUR, restarts=restarts)) == [(311, "bagger")]
    steps = sorted([*steps, (resolved_at, "bagger", RESOLVE)], key=lambda step: step[0])
    assert called(play(*steps, until=4 * HOUR, restarts=restarts)) == [(311, "bagger"), *again]


def test_a_persons_reason_for_a_stop_takes_precedence_over_observations() -> None:
    steps: list[StopStep] = [(11, "bagger", FAULT), (60, "bagger", MAINTENANCE)]
    steps += [(100, None, DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="ELEC"))]
    assert called(play(*steps, until=4 * HOUR)) == [(611, "bagger")]


def test_no_call_is_made_during_a_changeover_of_an_unobserved_line() -> None:
    """It broke, and its machine was switched off; who finds it standing after the changeover has five minutes."""
    steps: list[StopStep] = [(11, "bagger", FAULT), (100, "bagger", DeathReport())]
    steps += [(200, None, ChangeoverReport(action="start", to_product="nuts"))]
    assert called(play(*steps, until=4 * HOUR)) == [(311, "bagger")], "the fault is not known to be over"
    solved: list[StopStep] = [(400, None, RESOLVE), *CHANGED_OVER, (700, "bagger", STOPPED)]
    assert called(play(*steps, *solved, until=4 * HOUR)) == [(311, "bagger"), (1_000, "bagger")]
    steps += [(250, "bagger", STOPPED)]
    assert called(play(*steps, until=4 * HOUR)) == []
    assert called(play(*steps, *CHANGED_OVER, until=4 * HOUR)) == [(900, "bagger")]
