"""The findings on a stop: a better one replaces the cause, a worse one never does, and the call goes by it."""

from itertools import product
from typing import Final

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.reports import AndonReport, StateReport
from tests.support.packing_line import RARE_OEE, PackingLine, plant_file, seconds

RUNNING: Final = StateReport(state="running")
FILM_BREAK: Final = StateReport(state="fault", fault_codes=["FILM"])

NamedState = tuple[str, StateReport]

STARVED: Final[NamedState] = ("starved", StateReport(state="idle", upstream_stop=True))
BLOCKED: Final[NamedState] = ("blocked", StateReport(state="idle", downstream_stop=True))
PLANNED: Final[NamedState] = ("planned", StateReport(state="running", planned_stop=True))
CLEANING: Final[NamedState] = ("cleaning", StateReport(state="stopped", reason_code="CLEAN"))
MAINTAINED: Final[NamedState] = ("maintained", StateReport(state="maintenance"))
CALLS_NOBODY: Final = (STARVED, BLOCKED, PLANNED, CLEANING, MAINTAINED)


def line_with(*states: tuple[float, str, StateReport], until: float) -> PackingLine:
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
    for at, machine, body in states:
        line.report(machine, body, at=at)
    line.wait(until)
    return line


def raised(line: PackingLine) -> list[tuple[float, str | None]]:
    return [
        (seconds(event.timestamp), event.place.equipment)
        for event in line.events
        if event.type is EventType.ANDON_EVENT and event.revision == 1
    ]


def cause(data: event_data.Downtime) -> tuple[str, str | None, str | None]:
    return data.cause, data.cause_equipment, data.equipment_code


@pytest.mark.parametrize(("before", "seconds_before"), list(product(CALLS_NOBODY, [10, 40, 70, 3_000])))
def test_a_breakdown_after_a_stop_without_a_call_is_the_cause_and_calls(
    before: NamedState, seconds_before: float
) -> None:
    """The stop may or may not have become a downtime before; the time to the call counts from the breakdown."""
    broke_at = 100 + seconds_before
    line = line_with((100, "bagger", before[1]), (broke_at, "bagger", FILM_BREAK), until=broke_at + 7_200)
    last = line.downtimes()[-1]
    assert last.downtime_id == "L1.down.1"
    assert cause(last) == ("internal", "bagger", "bagger")
    assert (last.category, last.loss, last.reason_code) == ("unplanned", "breakdown", None)
    assert [note.code for note in last.faults] == ["FILM"]
    assert raised(line) == [(broke_at + 300, "bagger")]


@pytest.mark.parametrize("after", CALLS_NOBODY[:4])
def test_a_known_breakdown_stays_the_cause(after: NamedState) -> None:
    line = line_with((100, "bagger", FILM_BREAK), (130, "bagger", after[1]), until=250)
    assert cause(line.downtimes()[-1]) == ("internal", "bagger", "bagger")


def test_a_culprit_found_later_is_named_and_called() -> None:
    """The bagger has run out of baskets before the feeder reports why."""
    line = line_with((100, "bagger", STARVED[1]), (1_000, "feeder", FILM_BREAK), until=2_000)
    assert [cause(data) for data in line.downtimes()] == [
        ("upstream", None, "bagger"),
        ("upstream", "feeder", "bagger"),
    ]
    assert raised(line) == [(1_300, "feeder")]


@pytest.mark.parametrize("state", ["maintenance", "setup"])
def test_a_culprit_under_maintenance_is_named_without_a_call(state: str) -> None:
    line = line_with((99, "feeder", StateReport(state=state)), (100, "bagger", STARVED[1]), until=4_000)
    assert cause(line.downtimes()[-1]) == ("upstream", "feeder", "bagger")
    assert raised(line) == []


def test_a_culprit_that_fails_after_it_was_worked_on_is_called() -> None:
    states = ((99, "feeder", StateReport(state="maintenance")), (100, "bagger", STARVED[1]))
    line = line_with(*states, (1_000, "feeder", FILM_BREAK), until=4_000)
    assert raised(line) == [(1_300, "feeder")]


def test_an_unclassified_stop_calls_by_its_own_time_whatever_its_cause_turns_out_to_be() -> None:
    line = line_with((100, "bagger", StateReport(state="stopped")), (250, "bagger", FILM_BREAK), until=1_000)
    assert raised(line) == [(400, "bagger")]


def test_a_second_machine_that_fails_in_the_same_downtime_is_called_once_the_first_call_is_solved() -> None:
    line = line_with((90, "feeder", FILM_BREAK), (100, "bagger", STARVED[1]), until=500)
    assert raised(line) == [(400, "feeder")]
    line.report("feeder", AndonReport(action="resolve", andon_type="equipment"), at=600)
    line.report("feeder", RUNNING, at=610)
    line.report("bagger", FILM_BREAK, at=620)
    line.wait(2_000)
    assert raised(line) == [(400, "feeder"), (920, "bagger")]
    assert {data.downtime_id for data in line.downtimes()} == {"L1.down.1"}


@pytest.mark.parametrize("of_the_case_packer", [StateReport(state="fault"), FILM_BREAK])
def test_of_two_broken_machines_the_one_on_the_side_of_the_cause_is_called(of_the_case_packer: StateReport) -> None:
    line = line_with(
        (100, "feeder", FILM_BREAK), (110, "packer", of_the_case_packer), (112, "bagger", BLOCKED[1]), until=1_000
    )
    assert cause(line.downtimes()[-1]) == ("downstream", "packer", "bagger")
    assert raised(line) == [(412, "packer")]


def test_of_two_culprits_the_first_that_was_found_stays() -> None:
    states = ((100, "feeder", FILM_BREAK), (101, "bagger", STARVED[1]), (200, "packer", FILM_BREAK))
    line = line_with(*states, (201, "feeder", RUNNING), (202, "bagger", BLOCKED[1]), until=1_000)
    assert cause(line.downtimes()[-1]) == ("upstream", "feeder", "bagger")
