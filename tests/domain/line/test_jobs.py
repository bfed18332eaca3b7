"""Jobs: their life held against a table, one running at a time, completed once."""

from typing import Final, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.emitter import Emitter, Subjects
from bridge.domain.event_data import Job, JobStatus, Person
from bridge.domain.events import Event, EventType, Millis, Priority, Standing
from bridge.domain.line.jobs import JOB_REFUSALS, MAX_FINAL_JOBS, MAX_OPEN_JOBS, NEXT, Jobs, JobsState
from bridge.domain.plant import Plant
from bridge.domain.reports import APPLIED, Actor, Disposition, JobReport, Moment, rejected, suppressed

START: Final[Millis] = 1_750_000_000_000
SECOND: Final = 1_000
PLANNER: Final = Actor("paula", ("production_manager",), "Paula")

Action = Literal["accept", "start", "pause", "complete", "cancel"]


class Floor:
    def __init__(self, **rules: bool) -> None:
        self.plant = Plant.model_validate(
            {
                "name": "works",
                "areas": [{"id": "pack", "site": "north"}],
                "lines": [{"id": "L1", "area": "pack", "equipment": [{"id": "BAG1"}]}],
                "rules": rules,
            }
        )
        self.state = JobsState()
        self.subjects = Subjects()
        self.now = START
        self.restore()

    def restore(self) -> None:
        self.state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=JobsState)
        line = self.plant.lines[0]
        place = self.plant.place_of(line)
        self.emitter = Emitter(place, self.subjects)
        self.jobs = Jobs(self.state, place=place, plant=self.plant, spec=line, emitter=self.emitter)

    def apply(self, body: JobReport, *, actor: Actor | None = None) -> Disposition:
        self.now += SECOND
        return self.jobs.apply(body, moment=Moment(at=self.now, actor=actor))

    def assign(self, job_id: str = "J1", *, target: int = 100) -> Disposition:
        body = JobReport(action="assign", job_id=job_id, product="P1", target_quantity=target, assigned_to="otto")
        return self.apply(body, actor=PLANNER)

    def act(self, action: Action, job_id: str = "J1") -> Disposition:
        return self.apply(JobReport(action=action, job_id=job_id))

    def started(self, job_id: str = "J1", *, target: int = 100) -> None:
        assert self.assign(job_id, target=target) == APPLIED
        assert self.act("start", job_id) == APPLIED
        self.told()

    def count(self, total: int, good: int) -> None:
        self.now += SECOND
        self.jobs.count(total, good, moment=Moment(at=self.now))

    def told(self) -> list[tuple[EventType, Job]]:
        return [(event.type, event.data) for event in self.events() if isinstance(event.data, Job)]

    def events(self) -> tuple[Event, ...]:
        return self.emitter.drain()


LIFE: Final[dict[JobStatus, dict[Action, JobStatus | Disposition]]] = {
    "assigned": {
        "accept": "accepted",
        "start": "in_progress",
        "pause": rejected("not_started"),
        "complete": rejected("not_started"),
        "cancel": "cancelled",
    },
    "accepted": {
        "accept": suppressed("already_accepted"),
        "start": "in_progress",
        "pause": rejected("not_started"),
        "complete": rejected("not_started"),
        "cancel": "cancelled",
    },
    "in_progress": {
        "accept": suppressed("already_started"),
        "start": suppressed("already_started"),
        "pause": "paused",
        "complete": "completed",
        "cancel": "cancelled",
    },
    "paused": {
        "accept": suppressed("already_started"),
        "start": "in_progress",
        "pause": suppressed("already_paused"),
        "complete": "completed",
        "cancel": "cancelled",
    },
    "completed": {
        "accept": rejected("already_final"),
        "start": rejected("already_final"),
        "pause": rejected("already_final"),
        "complete": suppressed("already_completed"),
        "cancel": rejected("already_final"),
    },
    "cancelled": {
        "accept": rejected("already_final"),
        "start": rejected("already_final"),
        "pause": rejected("already_final"),
        "complete": rejected("already_final"),
        "cancel": suppressed("already_cancelled"),
    },
}
WAY_TO: Final[dict[JobStatus, tuple[Action, ...]]] = {
    "assigned": (),
    "accepted": ("accept",),
    "in_progress": ("accept", "start"),
    "paused": ("start", "pause"),
    "completed": ("start", "complete"),
    "cancelled": ("cancel",),
}
EVENTS: Final[dict[JobStatus, EventType]] = {
    "accepted": EventType.JOB_ASSIGNED,
    "in_progress": EventType.JOB_STARTED,
    "paused": EventType.JOB_STARTED,
    "completed": EventType.JOB_COMPLETED,
    "cancelled": EventType.JOB_CANCELLED,
}


def test_the_tables_answer_every_action_in_every_status_once() -> None:
    every = {(status, action) for status, row in LIFE.items() for action in row}
    assert len(every) == 6 * 5
    assert NEXT.keys() | JOB_REFUSALS.keys() == every
    assert not NEXT.keys() & JOB_REFUSALS.keys()


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize(("status", "action"), [(status, action) for status, row in LIFE.items() for action in row])
def test_every_action_in_every_status_does_what_the_table_says(
    status: JobStatus, action: Action, *, restored: bool
) -> None:
    floor = Floor()
    floor.assign()
    for step in WAY_TO[status]:
        assert floor.act(step) == APPLIED
    floor.told()
    if restored:
        floor.restore()

    answer = floor.act(action)

    expected = LIFE[status][action]
    told = floor.told()
    if isinstance(expected, Disposition):
        assert answer == expected
        assert told == []
    else:
        assert answer == APPLIED
        assert [(kind, data.status) for kind, data in told] == [(EVENTS[expected], expected)]


def test_a_job_tells_its_whole_story_on_one_subject() -> None:
    floor = Floor()
    floor.assign()
    for action in ("accept", "start", "pause", "start"):
        floor.act(action)
    floor.count(12, 11)
    floor.act("complete")
    events = floor.events()
    assert {(event.subject, event.place.equipment, event.priority) for event in events} == {
        ("J1", None, Priority.MEDIUM)
    }
    assert [event.revision for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.standing for event in events] == [*[Standing.CURRENT] * 5, Standing.CLOSED]
    assert events[0].audience == ("otto",)
    last = events[-1].data
    assert isinstance(last, Job)
    assert last.assigned_by == Person("paula", "Paula")
    assert last.accepted_at is not None
    assert last.started_at is not None
    assert last.completed_at is not None
    assert last.accepted_at < last.started_at < last.completed_at
    assert (last.actual_quantity, last.good_quantity, last.target_quantity) == (12, 11, 100)


def test_resuming_keeps_the_first_start() -> None:
    floor = Floor()
    floor.started()
    job = floor.jobs.running
    assert job is not None
    first = job.started_at
    floor.act("pause")
    assert floor.jobs.running is None
    floor.act("start")
    assert floor.jobs.running is job
    assert job.started_at == first


@pytest.mark.parametrize(
    "body",
    [
        JobReport(action="assign", job_id="J1", product="P1"),
        JobReport(action="assign", job_id="J1", target_quantity=5),
    ],
)
def test_an_assignment_names_product_and_quantity(body: JobReport) -> None:
    floor = Floor()
    assert floor.apply(body) == rejected("incomplete")
    assert floor.told() == []


@pytest.mark.parametrize("action", ["accept", "start", "pause", "complete", "cancel"])
def test_a_job_nobody_assigned_is_unknown(action: Action) -> None:
    assert Floor().act(action) == rejected("unknown_job")


def test_assigning_again_changes_nothing() -> None:
    floor = Floor()
    floor.assign()
    floor.told()
    assert floor.assign() == suppressed("already_assigned")
    assert floor.assign(target=101) == rejected("assigned_otherwise")
    floor.act("cancel")
    floor.told()
    assert floor.assign() == rejected("already_final")
    assert floor.told() == []


def test_a_second_start_is_refused_while_a_job_runs_but_not_while_it_is_paused() -> None:
    floor = Floor()
    floor.started("J1")
    floor.assign("J2")
    assert floor.act("start", "J2") == rejected("another_job_running")
    floor.act("pause", "J1")
    assert floor.act("start", "J2") == APPLIED
    assert floor.act("start", "J1") == rejected("another_job_running")


def test_a_second_start_completes_the_first_where_the_plant_says_so() -> None:
    floor = Floor(auto_complete_jobs=True)
    floor.started("J1")
    floor.assign("J2")
    floor.told()
    assert floor.act("start", "J2") == APPLIED
    assert [(data.job_id, data.status) for _, data in floor.told()] == [("J1", "completed"), ("J2", "in_progress")]


def test_pieces_count_for_the_running_job_only() -> None:
    floor = Floor()
    floor.count(5, 5)
    floor.started()
    floor.count(3, 2)
    floor.act("pause")
    floor.count(7, 7)
    floor.act("start")
    floor.count(1, 1)
    running = floor.jobs.running
    assert running is not None
    assert (running.total, running.good) == (4, 3)


@pytest.mark.parametrize(("complete_at_target", "completed"), [(True, True), (False, False)])
def test_the_target_completes_a_job_where_the_plant_says_so(*, complete_at_target: bool, completed: bool) -> None:
    floor = Floor(complete_at_target=complete_at_target)
    floor.started(target=10)
    floor.count(10, 9)
    assert floor.told() == []
    floor.count(3, 3)
    assert [(kind, data.good_quantity) for kind, data in floor.told()] == (
        [(EventType.JOB_COMPLETED, 12)] if completed else []
    )
    floor.count(3, 3)
    assert floor.told() == []


def test_a_target_passed_before_the_rule_was_set_completes_nothing() -> None:
    """An edge, never a level: the plant file changed while the job ran."""
    floor = Floor()
    floor.started(target=10)
    floor.count(12, 12)
    changed = Floor(complete_at_target=True)
    changed.state = floor.state
    changed.restore()
    changed.count(1, 1)
    assert changed.told() == []
    assert changed.jobs.running is not None


@given(st.lists(st.integers(-3, 20), max_size=30), st.integers(1, 60))
def test_a_job_completes_once_at_the_first_count_that_reaches_its_target(deltas: list[int], target: int) -> None:
    floor = Floor(complete_at_target=True)
    floor.started(target=target)
    good, completed = 0, False
    for delta in deltas:
        floor.count(delta, delta)
        good = max(0, good + delta)
        expected = [] if completed or good < target else [good]
        completed = completed or good >= target
        assert [data.good_quantity for _, data in floor.told()] == expected


def test_a_cancelled_job_tells_why() -> None:
    floor = Floor()
    floor.assign()
    floor.told()
    floor.apply(JobReport(action="cancel", job_id="J1", reason="no film"))
    ((kind, data),) = floor.told()
    assert (kind, data.cancellation_reason, data.actual_quantity) == (EventType.JOB_CANCELLED, "no film", None)
    assert data.cancelled_at is not None


def test_open_and_final_jobs_are_bounded() -> None:
    floor = Floor()
    for number in range(MAX_OPEN_JOBS):
        floor.assign(f"J{number}")
    assert floor.assign("over") == rejected("too_many_jobs")
    for number in range(MAX_OPEN_JOBS):
        floor.act("cancel", f"J{number}")
    for number in range(MAX_FINAL_JOBS):
        floor.assign(f"K{number}")
        floor.act("cancel", f"K{number}")
    assert len(floor.state.final) == MAX_FINAL_JOBS
    assert floor.act("start", "J0") == rejected("unknown_job")
    assert floor.act("start", "K0") == rejected("already_final")
