"""A neighbour that fails during a changeover: the same breakdown, and the same call, as of the machine that decides."""

from typing import Final

import pytest

from bridge.domain.reports import BirthReport, DeathReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.downtime.test_downtime_turn import COMPLETE, SETUP, START, STOPPED, parts
from tests.domain.line.stopped_line import BLOCKED, FAULT, HOUR, MAINTENANCE, RUNNING, STARVED, StopStep, called, play
from tests.support.packing_line import PackingLine

IS_OVER: Final[list[StopStep]] = [(11, "bagger", SETUP), (600, "bagger", STOPPED)]
IS_REPORTED: Final[list[StopStep]] = [(11, "bagger", STOPPED), (20, "bagger", START)]
each_changeover = pytest.mark.parametrize("changeover", [IS_OVER, IS_REPORTED], ids=["set up before", "reported"])

WAITS_FOR: Final = {"feeder": STARVED, "packer": BLOCKED, "bagger": FAULT}
each_machine = pytest.mark.parametrize("machine", list(WAITS_FOR))


def fails(machine: str, at: float, *, with_what: StateReport = FAULT) -> list[StopStep]:
    """The bagger, which decides, waits for it a second later."""
    return [(at, machine, with_what), (at + 1, "bagger", with_what if machine == "bagger" else WAITS_FOR[machine])]


def culprits(line: PackingLine) -> list[str | None]:
    return [
        latest.cause_equipment for latest in {downtime.downtime_id: downtime for downtime in line.downtimes()}.values()
    ]


@each_changeover
@each_machine
def test_a_machine_that_fails_during_it_splits_its_downtime_and_calls(machine: str, changeover: list[StopStep]) -> None:
    line = play(*changeover, *fails(machine, 700), until=4 * HOUR)
    assert parts(line) == [("changeover", 11, 700), ("unplanned", 700, None)]
    assert culprits(line) == [None, machine]
    assert called(line) == [(1_000, machine)]


@each_machine
def test_the_changeover_that_continues_after_the_repair_is_one_again(machine: str) -> None:
    repaired: list[StopStep] = [(1_500, machine, RUNNING), (1_500, "bagger", STOPPED)]
    line = play(*IS_REPORTED, *fails(machine, 700), *repaired, until=4 * HOUR)
    assert parts(line) == [("changeover", 11, 700), ("unplanned", 700, 1_500), ("changeover", 1_500, None)]


@each_machine
def test_a_failure_that_stops_the_line_in_a_changeover_is_a_breakdown_from_its_beginning(machine: str) -> None:
    line = play((50, "bagger", START), *fails(machine, 100), until=4 * HOUR)
    begins = 100 if machine == "bagger" else 101
    assert parts(line) == [("unplanned", begins, None)]
    assert called(line) == [(begins + 300, machine)]


@pytest.mark.parametrize("machine", ["feeder", "packer"])
@pytest.mark.parametrize("work", [SETUP, MAINTENANCE], ids=["set up", "maintained"])
def test_a_neighbour_on_which_somebody_works_splits_nothing(machine: str, work: StateReport) -> None:
    line = play(*IS_REPORTED, *fails(machine, 700, with_what=work), until=4 * HOUR)
    assert [category for category, _, _ in parts(line)] == ["changeover"]
    assert called(line) == []


@each_machine
def test_a_failure_that_stood_when_it_began_splits_it_when_it_outlasts_it(machine: str) -> None:
    line = play(*fails(machine, 100), (300, "bagger", START), (2_000, "bagger", COMPLETE), until=3_000)
    begins = 100 if machine == "bagger" else 101
    assert parts(line) == [("unplanned", begins, 300), ("changeover", 300, 2_000), ("unplanned", 2_000, None)]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("machine", ["feeder", "packer"])
def test_a_machine_that_is_lost_after_it_failed_is_not_mistaken_for_repaired(machine: str, *, restarts: bool) -> None:
    lost: list[StopStep] = [(900, machine, DeathReport()), (1_500, machine, BirthReport())]
    repaired: list[StopStep] = [(2_000, machine, RUNNING), (2_000, "bagger", STOPPED)]
    line = play(*IS_REPORTED, *fails(machine, 700), *lost, *repaired, until=4 * HOUR, restarts=restarts)
    assert parts(line) == [("changeover", 11, 700), ("unplanned", 700, 2_000), ("changeover", 2_000, None)]
    assert called(line) == [(1_000, machine)]


@pytest.mark.parametrize("machine", ["feeder", "packer"])
def test_a_failed_machine_is_not_mistaken_for_repaired_after_an_absence(machine: str) -> None:
    """The bagger, which waits for it, reports after the absence; the machine itself is silent."""
    line = play(*IS_REPORTED, *fails(machine, 700), until=1_100)
    absent(line, 1_100, 1_130)
    line.report("bagger", WAITS_FOR[machine], at=1_130)
    line.wait(4 * HOUR)
    assert [category for category, _, _ in parts(line)] == ["changeover", "unplanned"]
    assert called(line) == [(1_000, machine)]


@pytest.mark.parametrize("machine", ["feeder", "packer"])
def test_a_failure_carried_into_a_changeover_is_carried_while_its_machine_is_lost(machine: str) -> None:
    lost: list[StopStep] = [(500, machine, DeathReport()), (900, machine, BirthReport()), (901, machine, FAULT)]
    line = play(*fails(machine, 100), (300, "bagger", START), *lost, until=4 * HOUR)
    assert parts(line) == [("unplanned", 101, 300), ("changeover", 300, None)]


def test_a_fault_that_blames_a_machine_that_runs_is_carried_into_it_too() -> None:
    no_product = StateReport(state="fault", fault_codes=["INFEED"])
    line = play((100, "bagger", no_product), (300, "bagger", START), (2_000, "bagger", COMPLETE), until=3_000)
    assert parts(line) == [("unplanned", 100, 300), ("changeover", 300, 2_000), ("unplanned", 2_000, None)]
