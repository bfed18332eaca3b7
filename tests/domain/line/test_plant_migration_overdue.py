"""Deadlines that a new plant file makes overdue: they fire when the file is loaded, and nothing is dated back."""

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from bridge.domain import event_data, plant
from bridge.domain.escalation_policy import EscalationPolicy
from bridge.domain.events import Event, EventType
from bridge.domain.line.floor import Floor
from bridge.domain.line.plant_migration import migrate_floor
from bridge.domain.reports import (
    AndonReport,
    ChangeoverReport,
    CountsReport,
    Outcome,
    Report,
    StateReport,
)
from tests.domain.line.absence.test_absence_lost_time import inside, lost, second, spans
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file, seconds

RUNNING = StateReport(state="running")
FAULT = StateReport(state="fault", fault_bits=[0])
CALLS = [AndonReport(action="raise", andon_type=kind) for kind in ("equipment", "stop", "maintenance")]
LATE_SHIFT = 4 * 3_600


@dataclass
class MigratedLine(PackingLine):
    """A line whose plant file changes."""

    floor: Floor = field(init=False)

    def __post_init__(self) -> None:
        self.floor = Floor(self.plant_config)

    @override
    def apply(self, report: Report) -> Outcome:
        return self.floor.apply(report, report.received_at)

    def wait(self, until: float) -> list[Event]:
        fired = [event for _, events in self.floor.tick(T0 + round(until * 1000)) for event in events]
        self.events += fired
        return fired

    def adopt(self, file: plant.Plant, *, at: float) -> list[Event]:
        """Take another plant file in; return the events, and those that are due at the same instant."""
        self.floor, events = migrate_floor(self.floor, file, T0 + round(at * 1000), cause="input:9")
        self.events += events
        return [*events, *self.wait(at)]


def heartbeat(limit: float) -> plant.Plant:
    return plant_file(line_spec(equipment=equipment(heartbeat_seconds=limit)))


def instants(events: list[Event], event_type: EventType) -> list[float]:
    return [seconds(event.timestamp) for event in events if event.type is event_type]


@pytest.mark.parametrize(("limit", "offline_at"), [(90.0, 300), (290.0, 300), (305.0, 305)])
def test_a_shorter_heartbeat_makes_a_silent_machine_offline_from_now_on(limit: float, offline_at: int) -> None:
    line = MigratedLine()
    line.report("bagger", RUNNING, at=0)
    line.report("feeder", RUNNING, at=290)
    line.adopt(heartbeat(limit), at=300)
    line.wait(400)
    last = line.statuses("bagger")[-1]
    assert (last.status, second(last.since)) == ("offline", offline_at)


@pytest.mark.parametrize("shortened_at", [141, 159])
def test_a_shorter_threshold_makes_a_downtime_of_the_stop_that_lasts(shortened_at: int) -> None:
    """It began when it began, is known from now on, and calls for help as long after its beginning as any other."""
    line = MigratedLine()
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", FAULT, at=100)
    line.adopt(plant_file(micro_stop_seconds=30), at=shortened_at)
    (opened,) = line.of(EventType.DOWNTIME_EVENT)
    assert seconds(opened.timestamp) == shortened_at
    assert spans(line, 141) == [(100, 141)]
    line.wait(401)
    assert instants(line.events, EventType.ANDON_EVENT) == [400]


@pytest.mark.parametrize("threshold", [30, 60])
@pytest.mark.parametrize("restart", [0, 3, 20])
def test_a_shorter_restart_ends_the_downtime_when_the_line_ran_again(restart: int, threshold: int) -> None:
    """The running time since the restart is not lost, however late the restart is confirmed."""
    line = MigratedLine(plant_file(restart_seconds=60))
    line.report("bagger", RUNNING, at=LATE_SHIFT - 1_000)
    line.report("bagger", FAULT, at=LATE_SHIFT - 900)
    line.report("bagger", RUNNING, at=LATE_SHIFT - 500)
    line.adopt(plant_file(restart_seconds=restart, micro_stop_seconds=threshold), at=LATE_SHIFT - 490)
    line.wait(LATE_SHIFT + 1)
    (last,) = {downtime.downtime_id: downtime for downtime in line.downtimes()}.values()
    assert last.ended_at is not None
    assert second(last.ended_at) == LATE_SHIFT - 500
    assert instants(line.events, EventType.DOWNTIME_EVENT)[-1] == LATE_SHIFT - 490 + max(0, restart - 10)
    (window,) = [window for window in closed(line, "shift") if second(window.window_start) < LATE_SHIFT]
    assert lost(window) == inside(window, spans(line, LATE_SHIFT)) == 400


def test_a_restart_of_a_machine_that_the_new_plant_file_makes_silent_is_evaluated_by_its_rules() -> None:
    line = MigratedLine(plant_file(line_spec(equipment=equipment(clock="device")), restart_seconds=300))
    line.report("bagger", RUNNING, at=LATE_SHIFT - 1_000)
    line.report("bagger", FAULT, at=LATE_SHIFT - 900)
    line.report("bagger", RUNNING, at=LATE_SHIFT - 500)
    silent = line_spec(equipment=equipment(clock="device", heartbeat_seconds=60))
    line.adopt(plant_file(silent, restart_seconds=10), at=LATE_SHIFT - 300)
    line.report("bagger", RUNNING, at=LATE_SHIFT - 200)
    line.wait(LATE_SHIFT + 1)
    (window,) = [window for window in closed(line, "shift") if second(window.window_start) < LATE_SHIFT]
    assert lost(window) == inside(window, spans(line, LATE_SHIFT)) == 400


def test_a_shorter_threshold_splits_a_downtime_that_has_turned() -> None:
    line = MigratedLine(plant_file(micro_stop_seconds=300))
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", StateReport(state="setup"), at=100)
    line.report("bagger", FAULT, at=500)
    line.adopt(plant_file(micro_stop_seconds=60), at=700)
    assert spans(line, 700) == [(100, 500), (500, 700)]
    assert instants(line.events, EventType.DOWNTIME_EVENT) == [400, 700, 700]


def rung(acknowledge: float, resolve: float, step: float) -> plant.Plant:
    levels = (("responders",), ("team_leader",), ("shift_manager",), ("production_manager",))
    ladder = EscalationPolicy(
        acknowledge_minutes=acknowledge, resolve_minutes=resolve, step_minutes=step, recipients=levels
    )
    file = plant_file()
    return file.model_copy(update={"ladder": {**file.ladder, "high": ladder}})


@pytest.mark.parametrize(
    ("deadlines", "answered", "reached", "following"),
    [
        ((1, 100, 1), False, 2, 180),  # levels 1 and 2 are overdue
        ((1, 100, 10), False, 1, 660),
        ((1, 2, 1), False, 2, 180),  # the missed resolve deadline was at a lower level
        ((1, 2, 1), True, 1, 180),
        ((10, 100, 1), False, 0, 600),
    ],
)
def test_a_shorter_ladder_is_climbed_from_now_on(
    deadlines: tuple[float, float, float], reached: int, following: int, *, answered: bool
) -> None:
    line = MigratedLine(rung(20, 100, 10))
    line.report("desk", AndonReport(action="raise", andon_type="equipment"), at=0)
    if answered:
        line.report("desk", AndonReport(action="acknowledge", andon_type="equipment"), at=10)
    before = len(line.events)
    line.adopt(rung(*deadlines), at=150)
    line.wait(660)
    rises = [
        (seconds(event.timestamp), event.data.level)
        for event in line.events[before:]
        if event.type is EventType.ESCALATION_UPDATE
        and isinstance(event.data, event_data.Escalation)
        and event.data.level > event.data.previous_level
    ]
    assert rises[:reached] == [(150, level + 1) for level in range(reached)]
    assert rises[reached] == (following, reached + 1)


def test_a_missed_deadline_makes_the_reminder_of_it_needless() -> None:
    line = MigratedLine(rung(200, 200, 10))
    line.report("desk", AndonReport(action="raise", andon_type="equipment"), at=0)
    line.report("desk", AndonReport(action="acknowledge", andon_type="equipment"), at=10)
    events = line.adopt(rung(1, 30, 1), at=2_000)
    steps = [event.data for event in events if isinstance(event.data, event_data.Escalation)]
    assert [(step.level, step.cause) for step in steps] == [(1, "resolve_timeout")]


@pytest.mark.parametrize("period", [10, 60])
def test_a_shorter_period_of_figures_reports_nothing_of_before(period: int) -> None:
    line = MigratedLine(plant_file(oee_period_seconds=600))
    line.report("bagger", RUNNING, at=0)
    for at in (30, 70, 200):
        line.report("bagger", CountsReport(total=at, good=at // 2), at=at)
    events = line.adopt(plant_file(oee_period_seconds=period), at=325)
    assert set(instants(events, EventType.OEE_UPDATE)) == {325}
    line.report("bagger", FAULT, at=329)
    assert set(instants(line.wait(325 + period), EventType.OEE_UPDATE)) <= {330, 340, 360}
    assert all(one <= two for one, two in pairwise(instants(line.events, EventType.OEE_UPDATE)))


class PlantFileChanges:
    """A seeded course of reports and of plant files that differ in what they allow to last."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.silences = self.random.random() < 0.5
        self.line = MigratedLine(self.file())
        self.at = LATE_SHIFT - self.random.choice((600, 1_800, 3_600))

    def file(self) -> plant.Plant:
        rnd = self.random
        limit = rnd.choice((None, 60.0, 600.0)) if self.silences else None
        machines = equipment(heartbeat_seconds=limit, clock=rnd.choice(("receive", "device")))
        spec = line_spec(equipment=machines, constraint=rnd.choice(("bagger", "bagger", None)))
        file = plant_file(
            spec,
            micro_stop_seconds=rnd.choice((30, 60, 600)),
            restart_seconds=rnd.choice((0, 10, 300)),
            oee_period_seconds=rnd.choice((10, 60, 600)),
            auto_call_unclassified_seconds=rnd.choice((60, 300)),
            report_minor_stops=rnd.random() < 0.5,
        )
        high = rnd.choice((file.ladder["high"], file.ladder["low"], file.ladder["critical"]))
        return file.model_copy(update={"ladder": {**file.ladder, "high": high}})

    def step(self) -> None:
        rnd, line = self.random, self.line
        self.at += rnd.choice((0, 1, 5, 9, 25, 40, 70, 250))
        chance = rnd.random()
        if chance < 0.2:
            line.adopt(self.file(), at=self.at)
        elif chance < 0.7:
            state = rnd.choice(("running", "running", "stopped", "idle", "fault"))
            body = StateReport(state=state, upstream_stop=rnd.random() < 0.3, planned_stop=rnd.random() < 0.1)
            line.report(rnd.choice(("bagger", "bagger", "feeder", "packer")), body, at=self.at)
        elif chance < 0.8:
            line.report("desk", rnd.choice(CALLS), at=self.at)
        elif chance < 0.85:
            body_of = ChangeoverReport(action=rnd.choice(("start", "complete")), to_product="nuts")
            line.report(None, body_of, at=self.at)
        else:
            line.wait(self.at)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_no_change_of_the_plant_file_dates_anything_back(seed: int) -> None:
    """No event before an earlier one, no negative duration, and the lost time is that of the downtimes."""
    course = PlantFileChanges(seed)
    for _ in range(course.random.randrange(5, 60)):
        course.step()
    line = course.line
    line.wait(LATE_SHIFT + 10_000)
    moments = [event.timestamp for event in line.events]
    assert moments == sorted(moments)
    for downtime in line.downtimes():
        assert downtime.ended_at is None or second(downtime.ended_at) >= second(downtime.started_at)
        assert downtime.duration_seconds is None or downtime.duration_seconds >= 0
    downtimes = spans(line, LATE_SHIFT + 10_000)
    assert all(one[1] <= two[0] for one, two in pairwise(downtimes))
    for window in closed(line, "shift"):
        always_online = not any(status.status == "offline" for status in line.statuses())
        within = inside(window, downtimes)
        assert lost(window) == pytest.approx(within) if always_online else lost(window) <= within + 0.001
