"""A changed plant file: which state of a line survives it, which events it emits, and what is dropped."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import plant
from bridge.domain.escalation_policy import EscalationPolicy
from bridge.domain.event_data import LineStatus
from bridge.domain.event_topic import StateKey
from bridge.domain.events import Event, EventType
from bridge.domain.internal_inputs import plant_from_json, plant_to_json
from bridge.domain.line.floor import Floor
from bridge.domain.line.plant_migration import migrate_floor, orphaned_keys
from bridge.domain.place import Place
from bridge.domain.reports import (
    AndonReport,
    CountsReport,
    MeasurementReport,
    Report,
    ReportBody,
    StateReport,
    quarantined,
)
from tests.support.packing_line import T0, equipment, line_spec, plant_file, state_of

MINUTE = 60_000
HOUR = 60 * MINUTE
LIMIT = plant.MeasurementLimit(parameter="weight", unit="g", upper=10.0)
BEFORE = plant_file(line_spec(limits=(LIMIT,)))
WITHOUT_DESK = plant_file(line_spec(limits=(LIMIT,), equipment=equipment()[:3]))
WITHOUT_BAGGER = plant_file(
    line_spec(
        limits=(LIMIT,),
        equipment=tuple(machine for machine in equipment() if machine.id != "bagger"),
        constraint="packer",
        **dict.fromkeys(("total_from", "good_from", "reject_from"), ("packer",)),
    )
)
CALL = AndonReport(andon_type="equipment", action="raise")


class MigratedFloor:
    """One floor, reported to by ms since T0."""

    def __init__(self) -> None:
        self.floor = Floor(BEFORE)
        self.events: list[Event] = []

    def report(self, equipment_id: str | None, body: ReportBody, at: int) -> Any:
        place = Place("north", "pack", "L1", equipment_id)
        outcome = self.floor.apply(Report(place=place, body=body, received_at=T0 + at, cause="input:1"), T0 + at)
        self.events += outcome.events
        return outcome.disposition

    def adopt(self, file: plant.Plant, at: int) -> tuple[Event, ...]:
        self.floor, events = migrate_floor(self.floor, file, T0 + at, cause="input:9")
        self.events += events
        return events

    def wait(self, until: int) -> list[Event]:
        fired = [event for _, events in self.floor.tick(T0 + until) for event in events]
        self.events += fired
        return fired


def owners(events: list[Event]) -> set[str | None]:
    return {event.place.equipment for event in events}


def with_bagger_at(per_minute: float) -> plant.Plant:
    rule = plant.CounterRule(max_rate_per_minute=per_minute)
    return plant_file(line_spec(limits=(LIMIT,), equipment=equipment(counters=rule)))


def fast_bagger() -> MigratedFloor:
    """Return a floor whose bagger makes 600 pieces a minute, more than its plant file allows."""
    migrated = MigratedFloor()
    migrated.adopt(with_bagger_at(60), 0)
    for index in range(10):
        migrated.report("bagger", CountsReport(total=index * 100), index * 10_000)
    assert migrated.floor.counter_fits()["L1", "bagger"].max_rate_is_too_low
    return migrated


def test_a_rate_that_was_seen_is_forgotten_when_the_greatest_rate_is_changed() -> None:
    migrated = fast_bagger()
    migrated.adopt(with_bagger_at(61), 2 * MINUTE)
    assert not migrated.floor.counter_fits()["L1", "bagger"].max_rate_is_too_low
    for index in range(10):
        migrated.report("bagger", CountsReport(total=900 + index * 5), 2 * MINUTE + index * 10_000)
    assert not migrated.floor.counter_fits()["L1", "bagger"].max_rate_is_too_low


def test_a_machine_that_is_faster_than_the_changed_rate_is_seen_again() -> None:
    migrated = fast_bagger()
    migrated.adopt(with_bagger_at(61), 2 * MINUTE)
    for index in range(10):
        migrated.report("bagger", CountsReport(total=900 + index * 100), 2 * MINUTE + index * 10_000)
    assert migrated.floor.counter_fits()["L1", "bagger"].max_rate_is_too_low


def test_a_rate_that_was_seen_outlives_other_changes_of_the_plant_file() -> None:
    migrated = fast_bagger()
    changed = with_bagger_at(60)
    migrated.adopt(plant_file(changed.lines[0].model_copy(update={"target_rate_per_minute": 25.0})), 2 * MINUTE)
    assert migrated.floor.counter_fits()["L1", "bagger"].max_rate_is_too_low


def test_a_call_of_equipment_that_is_gone_never_escalates() -> None:
    migrated = MigratedFloor()
    migrated.report("desk", CALL, 0)
    migrated.report("packer", CALL, 1)
    migrated.adopt(WITHOUT_DESK, MINUTE)
    later = migrated.wait(5 * HOUR)
    reported = {event.place.equipment for event in later if event.type is EventType.ESCALATION_UPDATE}
    assert reported == {"packer"}, "the ladder of the other call goes on"
    assert "desk" not in owners(later)
    assert migrated.report("desk", CALL, 5 * HOUR) == quarantined("unknown_equipment")


def test_a_line_is_no_longer_what_a_machine_that_is_gone_made_it() -> None:
    migrated = MigratedFloor()
    for machine in ("feeder", "bagger", "packer"):
        migrated.report(machine, StateReport(state="fault" if machine == "bagger" else "running"), 0)
    migrated.wait(MINUTE)
    events = [*migrated.adopt(WITHOUT_BAGGER, MINUTE)]
    (line,) = (event for event in events if event.type is EventType.LINE_STATUS_UPDATE and not event.place.equipment)
    assert isinstance(line.data, LineStatus)
    assert line.data.status == "running"
    assert line.data.equipment is not None
    assert set(line.data.equipment) == {"feeder", "packer", "desk"}
    assert line.caused_by == ("input:9",)
    assert "bagger" not in owners([*events, *migrated.wait(9 * HOUR)]), (
        "no timer of it fires: no hour, no shift, no rate"
    )


def test_the_open_downtime_stays_and_makes_no_call_for_a_removed_machine() -> None:
    migrated = MigratedFloor()
    migrated.report("bagger", StateReport(state="running"), 0)
    migrated.report("bagger", StateReport(state="fault"), 1_000)
    migrated.report("packer", StateReport(state="stopped"), 1_000)
    migrated.wait(2 * MINUTE)
    migrated.adopt(WITHOUT_BAGGER, 3 * MINUTE)
    calls = [event for event in migrated.wait(30 * MINUTE) if event.type is EventType.ANDON_EVENT]
    assert owners(calls) == {"packer"}, "by the new plant file it is the one that keeps the line from running"


def test_pieces_are_counted_by_the_machines_that_count_now() -> None:
    migrated = MigratedFloor()
    for total in (100, 110):
        migrated.report("bagger", CountsReport(total=total, good=total), total)
    migrated.adopt(WITHOUT_BAGGER, MINUTE)
    for total in (5, 9):
        migrated.report("packer", CountsReport(total=total), MINUTE + total)
    migrated.wait(2 * MINUTE)
    line = migrated.floor.line("L1")
    assert line is not None
    counts = state_of(line).output.counts
    assert counts["_"].total == 14
    assert "bagger" not in counts


def test_alerts_and_windows_of_removed_equipment_are_dropped() -> None:
    migrated = MigratedFloor()
    for equipment_id in ("bagger", "packer"):
        migrated.report(equipment_id, MeasurementReport(parameter="weight", value=11.0, unit="g"), 0)
    migrated.adopt(WITHOUT_BAGGER, 1)
    line = migrated.floor.line("L1")
    assert line is not None
    assert {alert.equipment for alert in state_of(line).operations.quality.active.values()} == {"packer"}


def test_a_line_that_moves_starts_again() -> None:
    migrated = MigratedFloor()
    migrated.report("desk", CALL, 0)
    moved = BEFORE.model_copy(update={"areas": (plant.AreaConfig(id="pack", site="south"),)})
    migrated.wait(MINUTE)
    assert migrated.adopt(moved, MINUTE) == ()
    assert migrated.wait(9 * HOUR) == []
    assert migrated.report("desk", CALL, 9 * HOUR) == quarantined("unknown_place")


def test_requests_that_do_not_concern_a_line_emit_nothing() -> None:
    migrated = MigratedFloor()
    migrated.report("bagger", StateReport(state="running"), 0)
    migrated.wait(MINUTE)
    more = BEFORE.model_copy(update={"lines": (*BEFORE.lines, line_spec(id="L2"))})
    assert migrated.adopt(more, MINUTE) == ()
    assert migrated.floor.line("L2") is not None


@pytest.mark.parametrize(
    ("key", "is_gone"),
    [
        (("north", "pack", "L1", "_", "downtime", "L1.down.1"), False),
        (("north", "pack", "L1", "packer", "line", "_"), False),
        (("north", "pack", "L1", "bagger", "line", "_"), True),
        (("north", "pack", "L1", "bagger", "andon", "L1.call.1"), True),
        (("north", "pack", "L1", "packer", "oee", "shift"), True),  # it has no ideal cycle, so no OEE
        (("north", "pack", "L1", "_", "oee", "shift"), False),
        (("south", "pack", "L1", "_", "oee", "shift"), True),
        (("north", "pack", "L2", "_", "oee", "shift"), True),
    ],
)
def test_stale_is_an_event_of_equipment_that_the_plant_lacks(key: StateKey, is_gone: bool) -> None:  # noqa: FBT001 - a parameter
    assert orphaned_keys([key], WITHOUT_BAGGER) == ([key] if is_gone else [])


SHORT = BEFORE.model_copy(
    update={
        "ladder": {
            **BEFORE.ladder,
            "high": EscalationPolicy(
                acknowledge_minutes=1, resolve_minutes=2, step_minutes=1, recipients=(("responders",), ("team_leader",))
            ),
        },
        "shifts": (),
    }
)
FILES = (BEFORE, WITHOUT_DESK, WITHOUT_BAGGER, SHORT)
REPORTS = st.one_of(
    st.tuples(st.sampled_from(["feeder", "bagger", "packer"]), st.sampled_from(["running", "fault", "stopped"])).map(
        lambda pair: (pair[0], StateReport(state=pair[1]))
    ),
    st.tuples(st.sampled_from(["bagger", "packer"]), st.integers(0, 50).map(lambda n: CountsReport(total=n))),
    st.tuples(st.sampled_from(["desk", "packer"]), st.just(CALL)),
    st.sampled_from(FILES),
)


@given(steps=st.lists(st.tuples(st.integers(0, 3 * HOUR), REPORTS), max_size=25))
@settings(max_examples=60)
def test_any_history_of_plant_files_reports_only_of_what_is_there_and_replays_the_same(
    steps: list[tuple[int, Any]],
) -> None:
    """The second floor is restored from its checkpoint before every step: nothing lives beside it."""
    migrated, other = MigratedFloor(), MigratedFloor()
    file, at = BEFORE, 0
    for wait, report in steps:
        at += wait
        migrated_line = migrated.floor.line("L1")
        assert migrated_line is not None
        other.floor = Floor(plant_from_json(plant_to_json(file)), {"L1": migrated_line.checkpoint()})
        assert migrated.wait(at) == other.wait(at)
        if isinstance(report, plant.Plant):
            file = report
            events = list(migrated.adopt(report, at))
            assert list(other.adopt(report, at)) == events
        else:
            begin = len(migrated.events)
            assert migrated.report(report[0], report[1], at) == other.report(report[0], report[1], at)
            events = migrated.events[begin:]
            assert other.events[-len(events) :] == events or not events
        assert owners(events) <= {None, *(machine.id for machine in file.lines[0].equipment)}
