"""The culprit of a stop: whose trouble stopped the line, held against a description of the rule without a walk."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.event_data import Status, StatusCause
from bridge.domain.line.downtime.stop_cause import DOWNTIME_CAUSE, MachineView
from bridge.domain.line.equipment.status import diagnose

State = tuple[Status, StatusCause | None]

RUNS: Final[State] = ("running", None)
FAULT: Final[State] = ("fault", "internal")
STARVED: Final[State] = ("idle", "starved")
BLOCKED: Final[State] = ("idle", "blocked")
IDLE: Final[State] = ("idle", "unknown")
STOPPED: Final[State] = ("stopped", "unknown")
HELD: Final[State] = ("stopped", "internal")
PLANNED: Final[State] = ("stopped", "planned")
SETUP: Final[State] = ("setup", None)
MAINTENANCE: Final[State] = ("maintenance", None)
OFFLINE: Final[State] = ("offline", None)
NO_PRODUCT: Final[State] = ("fault", "starved")  # a fault whose catalogue entry blames what comes before
NO_SPACE: Final[State] = ("fault", "blocked")

STATES: Final = (
    *(RUNS, FAULT, STARVED, BLOCKED, IDLE, STOPPED, HELD, PLANNED, SETUP, MAINTENANCE, OFFLINE, NO_PRODUCT, NO_SPACE),
    ("stopped", "starved"),
    ("stopped", "blocked"),
)


def flow_of(*states: State, constraint: int) -> list[MachineView]:
    return [
        MachineView(
            equipment=f"m{index}",
            status=status,
            cause=cause,
            reason_code=None,
            faults=(),
            decides=index == constraint,
        )
        for index, (status, cause) in enumerate(states)
    ]


def diagnosed(*states: State, constraint: int) -> tuple[str, str | None]:
    diagnosis = diagnose(flow_of(*states, constraint=constraint))
    return diagnosis.cause, diagnosis.cause_equipment


@pytest.mark.parametrize(
    ("states", "constraint", "expected"),
    [
        # of two machines in fault, the one on the side that the constraint waits for
        ((FAULT, BLOCKED, FAULT), 1, ("downstream", "m2")),
        ((FAULT, STARVED, FAULT), 1, ("upstream", "m0")),
        # a machine between that waits for the same
        ((FAULT, STARVED, STARVED), 2, ("upstream", "m0")),
        ((BLOCKED, IDLE, STOPPED, HELD), 0, ("downstream", "m3")),
        # the nearest of those that stand by themselves, whatever the kind
        ((FAULT, SETUP, STARVED), 2, ("upstream", "m1")),
        ((FAULT, MAINTENANCE, STARVED), 2, ("upstream", "m1")),
        # beyond a machine that runs, stands by plan or waits for the other side, nothing is why
        ((FAULT, RUNS, STARVED), 2, ("upstream", None)),
        ((FAULT, PLANNED, STARVED), 2, ("upstream", None)),
        ((FAULT, BLOCKED, STARVED), 2, ("upstream", None)),
        # nothing is known of one that is offline
        ((FAULT, OFFLINE, STARVED), 2, ("upstream", "m0")),
        # its own fault, whatever else stands
        ((FAULT, FAULT, FAULT), 1, ("internal", "m1")),
        ((FAULT, HELD, RUNS), 1, ("internal", "m1")),
        # a fault that blames a neighbour: the neighbour if there is one, else its own machine, which must be reset
        ((FAULT, NO_PRODUCT, RUNS), 1, ("upstream", "m0")),
        ((RUNS, NO_PRODUCT, FAULT), 1, ("upstream", "m1")),
        ((NO_PRODUCT, STARVED, RUNS), 1, ("upstream", "m0")),
        ((FAULT, NO_PRODUCT, STARVED), 2, ("upstream", "m0")),
        # a stop that gives no cause: the nearest on either side, the one before it of two as near
        ((FAULT, STOPPED, FAULT), 1, ("upstream", "m0")),
        ((FAULT, IDLE, STOPPED, FAULT), 2, ("downstream", "m3")),
        ((RUNS, STOPPED, IDLE, FAULT), 1, ("downstream", "m3")),
        ((RUNS, STOPPED, STARVED, FAULT), 1, ("unknown", None)),
        # what was meant has no culprit
        ((FAULT, MAINTENANCE, FAULT), 1, ("unknown", None)),
        ((FAULT, SETUP, FAULT), 1, ("unknown", None)),
        ((FAULT, PLANNED, FAULT), 1, ("planned", None)),
        ((FAULT, RUNS, FAULT), 1, ("unknown", None)),
    ],
)
def test_the_culprit(states: tuple[State, ...], constraint: int, expected: tuple[str, str | None]) -> None:
    assert diagnosed(*states, constraint=constraint) == expected


def accuses(state: State, side: str) -> bool:
    return state[0] == "fault" and DOWNTIME_CAUSE[state[1]] == side


def stands_by_itself(state: State, side: str) -> bool:
    in_fault = state[0] == "fault" and not accuses(state, side)
    return state[0] in ("maintenance", "setup") or state == HELD or in_fault


def lets_pass(state: State, side: str) -> bool:
    waits = state[0] in ("stopped", "idle") and DOWNTIME_CAUSE[state[1]] in (side, "unknown")
    return waits or state[0] == "offline" or accuses(state, side)


def blamed_on(side: str, states: list[State], constraint: int) -> tuple[int, str, int] | None:
    """Return (distance, side, index) of the culprit on one side."""
    there = range(constraint) if side == "upstream" else range(constraint + 1, len(states))
    reached = []
    for index in there:
        low, high = sorted((index, constraint))
        if all(lets_pass(state, side) for state in states[low + 1 : high]):
            reached.append(index)
    strong = [index for index in reached if stands_by_itself(states[index], side)]
    weak = [index for index in reached if accuses(states[index], side)]
    return min(((abs(index - constraint), side, index) for index in strong or weak), default=None)


def described(states: list[State], constraint: int) -> tuple[str, str | None]:
    """Describe the culprit by what holds of it, for every machine of the line, without walking."""
    status, cause = states[constraint]
    mapped = DOWNTIME_CAUSE[cause]
    if status in ("running", "offline", "maintenance", "setup") or mapped == "planned":
        return mapped, None
    if mapped == "internal":
        return "internal", f"m{constraint}"
    sides = ("upstream", "downstream") if mapped == "unknown" else (mapped,)
    blamed = [found_here for side in sides if (found_here := blamed_on(side, states, constraint)) is not None]
    if not blamed:
        return mapped, f"m{constraint}" if status == "fault" else None
    _, side, index = min(blamed, key=lambda candidate: candidate[0])
    return side, f"m{index}"


@given(states=st.lists(st.sampled_from(STATES), min_size=1, max_size=7), data=st.data())
@settings(max_examples=500)
def test_the_walk_agrees_with_the_description(states: list[State], data: st.DataObject) -> None:
    constraint = data.draw(st.integers(0, len(states) - 1))
    assert diagnosed(*states, constraint=constraint) == described(states, constraint)


@given(states=st.lists(st.sampled_from(STATES), min_size=1, max_size=7), deciding=st.sets(st.integers(0, 6)))
@settings(max_examples=300)
def test_internal_names_the_machine_that_stopped_and_a_side_names_one_on_that_side(
    states: list[State], deciding: set[int]
) -> None:
    flow = flow_of(*states, constraint=-1)
    views = [
        MachineView(
            equipment=view.equipment,
            status=view.status,
            cause=view.cause,
            reason_code=None,
            faults=(),
            decides=index in deciding,
        )
        for index, view in enumerate(flow)
    ]
    diagnosis = diagnose(views)
    if diagnosis.cause == "internal":
        assert diagnosis.cause_equipment == diagnosis.equipment
    if diagnosis.cause_equipment is not None and diagnosis.equipment is not None:
        place, blamed = (int(name[1:]) for name in (diagnosis.equipment, diagnosis.cause_equipment))
        sides = {"internal": blamed == place, "upstream": blamed <= place, "downstream": blamed >= place}
        assert sides[diagnosis.cause]
