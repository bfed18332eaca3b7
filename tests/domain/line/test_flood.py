"""Flood control of an area: ten automatic calls in ten minutes, one summary, and what was held calls afterwards."""

from typing import Final

import pytest

from bridge.domain import plant
from bridge.domain.escalation_policy import FloodRule
from bridge.domain.line.plant_migration import migrate_floor
from bridge.domain.reports import AndonReport, DowntimeReport, StateReport
from tests.domain.line.many_lines import AREAS, FAULT, MIA, ON_FIRE, RUNNING, ManyLines, plant_of
from tests.support.packing_line import T0

CALL_AFTER: Final = 300.0
WINDOW: Final = 600.0
LIMIT: Final = 10

ONE: Final = plant_of("pack")
BOTH: Final = plant_of(*AREAS)


def broken(plant_file: plant.Plant = ONE, *, lines: int = 14, apart: float = 20) -> ManyLines:
    """Lines break down one after another, from second 100 on."""
    floor = ManyLines(plant_file)
    for number in range(lines):
        floor.report(100 + number * apart, f"pack-{number + 1}", FAULT)
    return floor


def test_fourteen_lines_that_break_down_in_five_minutes_are_ten_calls_and_one_summary() -> None:
    floor = broken()
    floor.wait(900)
    raised = floor.raised()
    assert [call.line for call in raised if not call.summary] == [f"pack-{number}" for number in range(1, 11)]
    (summary,) = [call for call in raised if call.summary]
    assert (summary.at, summary.line) == (100 + 10 * 20 + CALL_AFTER, "pack-11")
    data = floor.summaries()
    assert {update.call_id for _, update in data} == {"pack-11.call.1"}
    assert [update.description for _, update in data][-1] == (
        "Area pack: more stops than calls in 10 min. Held: pack-11 m, pack-12 m, pack-13 m, pack-14 m"
    )
    assert (data[0][1].andon_type, data[0][1].priority, data[0][1].auto_generated) == ("equipment", "high", True)


def test_lines_that_break_down_at_one_instant_are_listed_by_one_event() -> None:
    floor = broken(apart=0)
    floor.wait(500)
    assert [len((summary.description or "").split(",")) for _, summary in floor.summaries()] == [4]


def test_no_more_than_the_limit_is_no_flood() -> None:
    floor = broken(lines=LIMIT)
    floor.wait(3_000)
    assert len(floor.raised()) == LIMIT
    assert floor.summaries() == []


def test_the_flood_ends_below_five_and_what_is_still_stopped_calls_by_itself() -> None:
    """The fifth newest of 14 calls became due at 580: the flood is over ten minutes later."""
    floor = broken()
    floor.report(700, "pack-12", RUNNING)
    floor.wait(1_179)
    assert len(floor.raised()) == LIMIT + 1
    floor.wait(1_180)
    assert [(call.at, call.line) for call in floor.raised()[LIMIT + 1 :]] == [
        (1_180, "pack-11"),
        (1_180, "pack-13"),
        (1_180, "pack-14"),
    ]
    _, last = floor.summaries()[-1]
    assert (last.status, last.resolution_notes) == (
        "cancelled",
        "the flood is over: what still stands calls for itself",
    )


def test_a_held_call_states_the_stop_duration_and_its_downtime() -> None:
    floor = broken()
    floor.wait(1_200)
    released = [data for _, data in floor.calls() if data.call_id == "pack-13.call.1"]
    assert [(data.downtime_id, data.status, data.auto_generated) for data in released] == [
        ("pack-13.down.1", "open", True)
    ]


def test_a_flood_that_is_released_holds_back_as_many_as_the_limit_again() -> None:
    """Forty lines at once, and none of them restarts: ten of them call every ten minutes."""
    floor = broken(plant_of("pack", lines=40), lines=40, apart=0)
    floor.wait(5_000)
    called = [call.at for call in floor.raised() if not call.summary]
    assert called == [at for at in (400.0, 1_000.0, 1_600.0, 2_200.0) for _ in range(LIMIT)]


def test_a_summary_names_twenty_and_counts_the_rest() -> None:
    floor = broken(plant_of("pack", lines=60), lines=60, apart=0)
    floor.wait(500)
    ((_, summary),) = floor.summaries()
    assert summary.description is not None
    assert summary.description.endswith("pack-30 m and 30 more")
    assert len(summary.description) <= 500


def test_people_and_critical_calls_are_never_held_and_do_not_count() -> None:
    floor = broken()
    floor.report(365, "pack-15", ON_FIRE)
    floor.wait(670)
    for number in (12, 16):
        floor.report(670, f"pack-{number}", AndonReport(action="raise", andon_type="stop"))
    pressed = [data for at, data in floor.calls() if at == 670]
    assert [(data.status, data.auto_generated) for data in pressed] == [("open", False), ("open", False)]
    assert [data.priority for _, data in floor.calls() if data.call_id.startswith("pack-15")] == ["critical"]
    assert [call.line for call in floor.raised() if not call.summary] == [f"pack-{number}" for number in range(1, 11)]


def test_a_held_breakdown_for_which_a_person_has_called_is_linked_when_the_flood_is_over() -> None:
    floor = broken()
    floor.wait(650)
    floor.report(650, "pack-12", AndonReport(action="raise", andon_type="maintenance"))
    floor.wait(1_300)
    updates = [data for _, data in floor.calls() if data.call_id.startswith("pack-12")]
    assert {data.call_id for data in updates} == {"pack-12.call.1"}
    assert updates[-1].downtime_id == "pack-12.down.1"


def test_a_held_breakdown_that_turned_out_to_be_planned_makes_no_call() -> None:
    planned = plant.DowntimeReason(code="CLEAN", text="Cleaning", category="planned")
    floor = broken(ONE.model_copy(update={"reasons": (planned,)}))
    floor.wait(650)
    body = DowntimeReport(action="classify", downtime_id="pack-12.down.1", reason_code="CLEAN")
    floor.report(700, "pack-12", body, actor=MIA)
    floor.wait(1_300)
    assert not [data for _, data in floor.calls() if data.call_id.startswith("pack-12")]


@pytest.mark.parametrize("left_at", [900, 2_000])
def test_a_held_breakdown_on_which_somebody_works_calls_once_it_is_left_stopped(left_at: float) -> None:
    """It may be left before or after the flood ends."""
    floor = broken(lines=12)
    floor.wait(650)
    floor.report(700, "pack-12", StateReport(state="maintenance"))
    floor.wait(left_at)
    assert "pack-12" not in [call.line for call in floor.raised() if not call.summary]
    floor.report(left_at, "pack-12", StateReport(state="stopped"))
    floor.wait(left_at + 3_600)
    assert [call.line for call in floor.raised() if not call.summary].count("pack-12") == 1


def test_calls_held_after_the_summary_was_resolved_have_a_new_one() -> None:
    floor = broken(plant_of("pack"), lines=12)
    floor.wait(650)
    floor.resolve(660, floor.summaries()[-1][1])
    floor.report(670, "pack-14", FAULT)
    floor.wait(1_000)
    _, last = floor.summaries()[-1]
    assert (last.call_id, last.status) == ("pack-14.call.1", "open")
    assert last.description is not None
    assert last.description.endswith("Held: pack-11 m, pack-12 m, pack-14 m")


def test_a_breakdown_that_calls_again_counts_as_a_call() -> None:
    floor = broken(lines=LIMIT)
    floor.wait(600)
    for number in range(1, LIMIT + 1):
        floor.report(600, f"pack-{number}", RUNNING)
    for number in range(1, LIMIT + 1):
        floor.report(700, f"pack-{number}", FAULT)
    floor.wait(1_000)
    called = [call for call in floor.raised() if not call.summary]
    assert len([call for call in called if 400 < call.at <= 1_000]) == LIMIT
    assert floor.summaries()


def test_areas_are_apart() -> None:
    floor = broken(BOTH)
    floor.report(500, "bake-1", FAULT)
    floor.wait(1_000)
    assert [(call.at, call.line) for call in floor.raised("bake")] == [(800, "bake-1")]


def test_limits_are_the_plants() -> None:
    floor = broken(plant_of("pack", flood=FloodRule(calls=2, minutes=5, below=1)), lines=4, apart=0)
    floor.wait(2_000)
    assert [(call.at, call.summary) for call in floor.raised()] == [
        *((400, False), (400, False), (400, True)),
        *((700, False), (700, False)),
    ]


def test_a_flood_that_lasts_holds_calls_although_the_window_has_space_again() -> None:
    """Ten minutes after the first two calls two more would fit; the flood is over when nothing was due for as long."""
    floor = ManyLines(plant_of("pack", flood=FloodRule(calls=2, minutes=10, below=1)))
    for number, second in enumerate((100, 100, 100, 600, 800), start=1):
        floor.report(second, f"pack-{number}", FAULT)
    floor.wait(3_000)
    called = [(call.at, call.line) for call in floor.raised() if not call.summary]
    assert called == [(400, "pack-1"), (400, "pack-2"), (1_700, "pack-3"), (1_700, "pack-4"), (2_300, "pack-5")]


def test_a_flood_lasts_where_as_many_are_due_as_must_not_be() -> None:
    """One becomes due at the instant at which it would be over: there are two in ten minutes again, not fewer."""
    floor = ManyLines(plant_of("pack", flood=FloodRule(calls=2, minutes=10, below=2)))
    for number, second in enumerate((100, 100, 400, 700), start=1):
        floor.report(second, f"pack-{number}", FAULT)
    floor.wait(3_000)
    called = [(call.at, call.line) for call in floor.raised() if not call.summary]
    assert called == [(400, "pack-1"), (400, "pack-2"), (1_300, "pack-3"), (1_300, "pack-4")]


def test_a_plant_file_without_the_lines_of_a_flood_ends_it() -> None:
    floor = broken(lines=12)
    floor.wait(650)
    fewer = ONE.model_copy(update={"lines": ONE.lines[9:]})
    adopted, _ = migrate_floor(floor.floor, fewer, T0 + 660_000, cause="input:9")
    floor.floor = adopted
    floor.wait(2_000)
    assert {"pack-11.call.2", "pack-12.call.1"} <= {data.call_id for _, data in floor.calls()}
