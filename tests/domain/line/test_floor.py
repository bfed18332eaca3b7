"""The floor: routing by place, ticking in order, checkpoints of what changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import plant
from bridge.domain.line.floor import HEAP_ENTRIES_PER_LINE, Floor
from bridge.domain.place import Place
from bridge.domain.reports import Report, StateReport, quarantined
from tests.support.packing_line import T0, line_spec, plant_file

TWO = plant_file().model_copy(
    update={
        "areas": (plant.AreaConfig(id="pack", site="north"), plant.AreaConfig(id="bake", site="north")),
        "lines": (line_spec(), line_spec(id="L2", area="bake")),
    }
)


def report(place: Place, *, at: int = 0, state: str = "running") -> Report:
    return Report(place=place, body=StateReport(state=state), received_at=T0 + at, cause="input:1")


FIRST = Place("north", "pack", "L1", "bagger")
SECOND = Place("north", "bake", "L2", "bagger")


def test_its_places_are_those_from_which_a_report_is_taken() -> None:
    places = Floor(TWO).places()
    machines = [equipment.id for equipment in line_spec().equipment]
    lines = [Place("north", "pack", "L1"), Place("north", "bake", "L2")]
    assert places == [line.with_equipment(name) for line in lines for name in (None, *machines)]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (Place("south", "pack", "L1", "bagger"), "unknown_place"),
        (Place("north", "bake", "L1", "bagger"), "unknown_place"),
        (Place("north", "pack", "L3", "bagger"), "unknown_place"),
        (Place("north", "pack", "L1", "robot"), "unknown_equipment"),
        (Place("north", "pack", "L1", None), "needs_equipment"),
    ],
)
def test_a_report_from_nowhere_is_quarantined(place: Place, reason: str) -> None:
    outcome = Floor(TWO).apply(report(place), T0)
    assert outcome.disposition == quarantined(reason)
    assert outcome.events == ()


def test_lines_tick_in_the_order_of_their_deadlines_then_of_the_plant_file() -> None:
    floor = Floor(TWO)
    assert floor.next_deadline() is None
    floor.apply(report(SECOND), T0)
    floor.apply(report(FIRST, at=5), T0 + 5)
    assert floor.next_deadline() == T0 + 10_000
    assert [line_id for line_id, _ in floor.tick(T0 + 10_000)] == ["L1", "L2"]
    floor.apply(report(SECOND, at=10_500, state="stopped"), T0 + 10_500)
    assert floor.tick(T0 + 10_500) == []
    line = floor.line("L2")
    assert line is not None
    assert line.next_deadline() == T0 + 20_000


def test_deadlines_fire_in_order_of_time_whatever_line_they_are_of() -> None:
    floor = Floor(TWO)
    floor.apply(report(FIRST), T0)
    floor.apply(report(SECOND, at=1, state="stopped"), T0 + 1)
    floor.tick(T0 + 60_000)
    assert floor.next_deadline() == T0 + 60_001
    assert [line_id for line_id, _ in floor.tick(T0 + 70_000)] == ["L2", "L1", "L2"]


def test_a_report_to_one_line_lets_time_pass_on_all_of_them_first() -> None:
    """Else it would make a difference to lines that share a flood limit whether the floor was ticked before."""
    floor, ticked = Floor(TWO), Floor(TWO)
    for target in (floor, ticked):
        target.apply(report(FIRST), T0)
        target.apply(report(SECOND, at=1, state="stopped"), T0 + 1)
    before = [event for _, events in ticked.tick(T0 + 80_000) for event in events]
    expected = ticked.apply(report(FIRST, at=80_000), T0 + 80_000)
    outcome = floor.apply(report(FIRST, at=80_000), T0 + 80_000)
    assert list(outcome.events) == [*before, *expected.events]
    assert outcome.deadline_events == len(before)
    assert {event.place.line for event in before} == {"L1", "L2"}
    assert floor.next_deadline() == ticked.next_deadline()


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 9_000), st.sampled_from((None, FIRST, SECOND)), st.sampled_from(("running", "stopped"))
        ),
        max_size=60,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_next_deadline_is_the_least_of_all_lines(steps: list[tuple[int, Place | None, str]]) -> None:
    """However often reports move it to and fro; and nothing that was due is left."""
    floor, at = Floor(TWO), 0
    for wait, place, state in steps:
        at += wait
        if place is None:
            floor.tick(T0 + at)
        else:
            floor.apply(report(place, at=at, state=state), T0 + at)
        lines = [floor.line("L1"), floor.line("L2")]
        deadlines = [line.next_deadline() for line in lines if line is not None]
        least = min((deadline for deadline in deadlines if deadline is not None), default=None)
        assert floor.next_deadline() == least
        assert place is not None or least is None or least > T0 + at
        assert floor.heap_size <= HEAP_ENTRIES_PER_LINE * 2


def test_only_changed_lines_need_a_checkpoint_and_a_floor_restores_from_them() -> None:
    floor = Floor(TWO)
    assert floor.changed_lines() == frozenset()
    floor.apply(report(FIRST), T0)
    assert floor.changed_lines() == {"L1"}
    checkpoints = {"L1": floor.checkpoint("L1")}
    assert floor.changed_lines() == frozenset()
    floor.tick(T0 + 5_000)
    assert floor.changed_lines() == frozenset()  # nothing was due
    twin = Floor.restore(TWO, {**checkpoints, "gone": b""})
    assert twin.next_deadline() == floor.next_deadline()
    assert twin.tick(T0 + 90_000) == floor.tick(T0 + 90_000)
    assert floor.changed_lines() == {"L1"}


def test_an_unknown_line_is_none() -> None:
    assert Floor(TWO).line("L9") is None
