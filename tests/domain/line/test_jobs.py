"""Jobs: their life held against a table, one running at a time, completed once."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.event_data import Job, JobStatus, Person
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.line.jobs import JOB_REFUSALS, MAX_FINAL_JOBS, MAX_OPEN_JOBS, NEXT
from bridge.domain.reports import APPLIED, Disposition, JobReport, rejected, suppressed
from tests.domain.line.job_line import Action, JobLine

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
def test_every_action_in_every_status_follows_the_table(status: JobStatus, action: Action, *, restored: bool) -> None:
    line = JobLine()
    line.assign()
    for step in WAY_TO[status]:
        assert line.act(step) == APPLIED
    line.new_updates()
    if restored:
        line.restore()

    answer = line.act(action)

    expected = LIFE[status][action]
    updates = line.new_updates()
    if isinstance(expected, Disposition):
        assert answer == expected
        assert updates == []
    else:
        assert answer == APPLIED
        assert [(kind, data.status) for kind, data in updates] == [(EVENTS[expected], expected)]


def test_all_events_of_a_job_have_one_subject() -> None:
    line = JobLine()
    line.assign()
    for action in ("accept", "start", "pause", "start"):
        line.act(action)
    line.count(12, 11)
    line.act("complete")
    events = line.events()
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
    line = JobLine()
    line.started()
    job = line.jobs.running
    assert job is not None
    first = job.started_at
    line.act("pause")
    assert line.jobs.running is None
    line.act("start")
    assert line.jobs.running is job
    assert job.started_at == first


@pytest.mark.parametrize(
    "body",
    [
        JobReport(action="assign", job_id="J1", product="P1"),
        JobReport(action="assign", job_id="J1", target_quantity=5),
    ],
)
def test_an_assignment_names_product_and_quantity(body: JobReport) -> None:
    line = JobLine()
    assert line.apply(body) == rejected("incomplete")
    assert line.new_updates() == []


@pytest.mark.parametrize("action", ["accept", "start", "pause", "complete", "cancel"])
def test_a_job_that_was_never_assigned_is_unknown(action: Action) -> None:
    assert JobLine().act(action) == rejected("unknown_job")


def test_assigning_again_changes_nothing() -> None:
    line = JobLine()
    line.assign()
    line.new_updates()
    assert line.assign() == suppressed("already_assigned")
    assert line.assign(target=101) == rejected("assigned_otherwise")
    line.act("cancel")
    line.new_updates()
    assert line.assign() == rejected("already_final")
    assert line.new_updates() == []


def test_a_second_start_is_refused_while_a_job_runs_but_not_while_it_is_paused() -> None:
    line = JobLine()
    line.started("J1")
    line.assign("J2")
    assert line.act("start", "J2") == rejected("another_job_running")
    line.act("pause", "J1")
    assert line.act("start", "J2") == APPLIED
    assert line.act("start", "J1") == rejected("another_job_running")


def test_a_second_start_completes_the_first_where_configured() -> None:
    line = JobLine(auto_complete_jobs=True)
    line.started("J1")
    line.assign("J2")
    line.new_updates()
    assert line.act("start", "J2") == APPLIED
    assert [(data.job_id, data.status) for _, data in line.new_updates()] == [
        ("J1", "completed"),
        ("J2", "in_progress"),
    ]


def test_pieces_count_for_the_running_job_only() -> None:
    line = JobLine()
    line.count(5, 5)
    line.started()
    line.count(3, 2)
    line.act("pause")
    line.count(7, 7)
    line.act("start")
    line.count(1, 1)
    running = line.jobs.running
    assert running is not None
    assert (running.total, running.good) == (4, 3)


@pytest.mark.parametrize(("complete_at_target", "completed"), [(True, True), (False, False)])
def test_the_target_completes_a_job_where_configured(*, complete_at_target: bool, completed: bool) -> None:
    line = JobLine(complete_at_target=complete_at_target)
    line.started(target=10)
    line.count(10, 9)
    assert line.new_updates() == []
    line.count(3, 3)
    assert [(kind, data.good_quantity) for kind, data in line.new_updates()] == (
        [(EventType.JOB_COMPLETED, 12)] if completed else []
    )
    line.count(3, 3)
    assert line.new_updates() == []


def test_a_target_passed_before_the_rule_was_set_completes_nothing() -> None:
    """An edge, never a level: the plant file changed while the job ran."""
    line = JobLine()
    line.started(target=10)
    line.count(12, 12)
    changed = JobLine(complete_at_target=True)
    changed.state = line.state
    changed.restore()
    changed.count(1, 1)
    assert changed.new_updates() == []
    assert changed.jobs.running is not None


@given(st.lists(st.integers(-3, 20), max_size=30), st.integers(1, 60))
def test_a_job_completes_once_at_the_first_count_that_reaches_its_target(deltas: list[int], target: int) -> None:
    line = JobLine(complete_at_target=True)
    line.started(target=target)
    good, completed = 0, False
    for delta in deltas:
        line.count(delta, delta)
        good = max(0, good + delta)
        expected = [] if completed or good < target else [good]
        completed = completed or good >= target
        assert [data.good_quantity for _, data in line.new_updates()] == expected


def test_a_cancelled_job_states_the_reason() -> None:
    line = JobLine()
    line.assign()
    line.new_updates()
    line.apply(JobReport(action="cancel", job_id="J1", reason="no film"))
    ((kind, data),) = line.new_updates()
    assert (kind, data.cancellation_reason, data.actual_quantity) == (EventType.JOB_CANCELLED, "no film", None)
    assert data.cancelled_at is not None


def test_open_and_final_jobs_are_bounded() -> None:
    line = JobLine()
    for number in range(MAX_OPEN_JOBS):
        line.assign(f"J{number}")
    assert line.assign("over") == rejected("too_many_jobs")
    for number in range(MAX_OPEN_JOBS):
        line.act("cancel", f"J{number}")
    for number in range(MAX_FINAL_JOBS):
        line.assign(f"K{number}")
        line.act("cancel", f"K{number}")
    assert len(line.state.final) == MAX_FINAL_JOBS
    assert line.act("start", "J0") == rejected("unknown_job")
    assert line.act("start", "K0") == rejected("already_final")
