"""Floods of calls under random breakdowns, ticks and restarts."""

from bisect import bisect_right
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.escalation_policy import FloodRule
from bridge.domain.event_data import Escalation
from bridge.domain.reports import AndonReport
from tests.domain.line.many_lines import AREAS, FAULT, MIA, ON_FIRE, RUNNING, ManyLines, plant_of
from tests.domain.line.test_flood import WINDOW, broken
from tests.support.packing_line import T0, state_of

SMALL: Final = plant_of(*AREAS, lines=6, flood=FloodRule(calls=3, minutes=10, below=2))

FloodStep = tuple[int, str, int, str]

STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 0, 1, 7, 30, 90, 400)),
        st.sampled_from(AREAS),
        st.integers(1, 6),
        st.sampled_from(("fault", "fault", "fault", "run", "ahead", "press", "resolve", "fire")),
    ),
    min_size=10,
    max_size=70,
)


def play(floor: ManyLines, steps: list[FloodStep], *, ticks: set[int], restarts: set[int]) -> None:
    """`ticks` and `restarts`: before which steps, the former twice on the way."""
    second = 10.0
    for number, (wait, area, line, action) in enumerate(steps):
        if number in ticks:
            floor.wait(second + wait * 0.3)
            floor.wait(second + wait * 0.9)
        if number in restarts:
            floor.restart()
        second += wait
        name = f"{area}-{line}"
        match action:
            case "fault":
                floor.report(second, name, FAULT)
            case "fire":
                floor.report(second, name, ON_FIRE)
            case "run":
                floor.report(second, name, RUNNING)
            case "ahead":  # a device's clock that takes its line along
                body = FAULT if line % 2 else RUNNING
                floor.report(second, name, type(body)(state=body.state, ts=T0 + round((second + 4.5) * 1000)))
            case "press":
                floor.report(second, name, AndonReport(action="raise", andon_type="equipment", seq=number))
            case _:
                floor.report(second, name, AndonReport(action="resolve", andon_type="equipment"), actor=MIA)
    floor.wait(second + 4_000)


@given(steps=STEPS, ticks=st.sets(st.integers(0, 70)), restarts=st.sets(st.integers(0, 70), max_size=4))
@settings(max_examples=40, deadline=None)
def test_ticks_and_restarts_change_nothing(steps: list[FloodStep], ticks: set[int], restarts: set[int]) -> None:
    plain, other = ManyLines(SMALL), ManyLines(SMALL)
    play(plain, steps, ticks=set(), restarts=set())
    play(other, steps, ticks=ticks, restarts=restarts)
    assert other.events == plain.events


@given(steps=STEPS)
@settings(max_examples=80, deadline=None)
def test_an_area_never_calls_more_than_its_limit_and_forgets_nothing_it_held(steps: list[FloodStep]) -> None:
    """Long after the last report nothing is held, no summary is open, and whatever still stands has called."""
    floor = ManyLines(SMALL)
    play(floor, steps, ticks=set(), restarts=set())
    for area in AREAS:
        called = sorted(call.at for call in floor.raised(area) if not call.summary)
        for index, at in enumerate(called):
            assert index + 1 - bisect_right(called, at - WINDOW) <= SMALL.flood.calls
    linked = {data.downtime_id for _, data in floor.calls()}
    for spec in SMALL.lines:
        line = floor.floor.line(spec.id)
        assert line is not None
        calls, standing = line.automatic_calls, state_of(line).downtimes.open
        assert (calls.flood.held, calls.flood.flooding, calls.summary_call) == (None, False, None)
        assert standing is None or standing.downtime_id in linked


@pytest.mark.parametrize("second", [450, 500, 610, 1_180])
def test_a_restart_in_a_flood_continues_with_it(second: float) -> None:
    plain, restarted = broken(), broken()
    restarted.wait(second)
    restarted.restart()
    for floor in (plain, restarted):
        floor.wait(3_000)
    assert restarted.events == plain.events
    assert [event for event in plain.events if isinstance(event.data, Escalation)]
