"""Jobs of one line: assigned, accepted, run, paused, completed, cancelled. Source: domain.md, «Jobs».

One job runs at a time; pieces counted while it runs are its own. A job completes once: by report, by command, or (if
the plant is configured so) at the piece that reaches its target.
"""

from typing import Final, Literal

from msgspec import Struct, field

from bridge.domain.bounded_dict import drop_oldest
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Job, JobStatus, Person
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.plant import LineConfig, Plant
from bridge.domain.reports import APPLIED, Disposition, JobReport, Moment, rejected, suppressed
from bridge.domain.utc_time import Millis, rfc3339_or_none

MAX_OPEN_JOBS: Final = 500  # bounds the checkpoint if a planner never completes a job
MAX_FINAL_JOBS: Final = 500  # ids still answered with `already_final`; bounds the checkpoint of an old line

JobAction = Literal["accept", "start", "pause", "complete", "cancel"]
"""Actions on an assigned job."""

NEXT: Final[dict[tuple[JobStatus, JobAction], JobStatus]] = {
    ("assigned", "accept"): "accepted",
    ("assigned", "start"): "in_progress",
    ("assigned", "cancel"): "cancelled",
    ("accepted", "start"): "in_progress",
    ("accepted", "cancel"): "cancelled",
    ("in_progress", "pause"): "paused",
    ("in_progress", "complete"): "completed",
    ("in_progress", "cancel"): "cancelled",
    ("paused", "start"): "in_progress",
    ("paused", "complete"): "completed",
    ("paused", "cancel"): "cancelled",
}

JOB_REFUSALS: Final[dict[tuple[JobStatus, JobAction], Disposition]] = {
    ("assigned", "pause"): rejected("not_started"),
    ("assigned", "complete"): rejected("not_started"),
    ("accepted", "accept"): suppressed("already_accepted"),
    ("accepted", "pause"): rejected("not_started"),
    ("accepted", "complete"): rejected("not_started"),
    ("in_progress", "accept"): suppressed("already_started"),
    ("in_progress", "start"): suppressed("already_started"),
    ("paused", "accept"): suppressed("already_started"),
    ("paused", "pause"): suppressed("already_paused"),
    ("completed", "accept"): rejected("already_final"),
    ("completed", "start"): rejected("already_final"),
    ("completed", "pause"): rejected("already_final"),
    ("completed", "complete"): suppressed("already_completed"),
    ("completed", "cancel"): rejected("already_final"),
    ("cancelled", "accept"): rejected("already_final"),
    ("cancelled", "start"): rejected("already_final"),
    ("cancelled", "pause"): rejected("already_final"),
    ("cancelled", "complete"): rejected("already_final"),
    ("cancelled", "cancel"): suppressed("already_cancelled"),
}

EVENT_TYPE_OF: Final[dict[JobStatus, EventType]] = {
    "assigned": EventType.JOB_ASSIGNED,
    "accepted": EventType.JOB_ASSIGNED,  # a revision of it
    "in_progress": EventType.JOB_STARTED,
    "paused": EventType.JOB_STARTED,  # a revision of it
    "completed": EventType.JOB_COMPLETED,
    "cancelled": EventType.JOB_CANCELLED,
}

FINAL_JOB_STATUSES: Final[frozenset[JobStatus]] = frozenset({"completed", "cancelled"})


class JobRecord(Struct, kw_only=True):
    """A job that is not final, with the pieces counted while it ran."""

    job_id: str
    product: str
    target_quantity: int
    assigned_to: str | None
    assigned_by: Person | None
    status: JobStatus = "assigned"
    accepted_at: Millis | None = None
    started_at: Millis | None = None
    total: int = 0
    good: int = 0


class JobsState(Struct):
    """Checkpointed. Jobs that are not final, and the final status of the latest others, by job id."""

    open: dict[str, JobRecord] = field(default_factory=dict)
    final: dict[str, JobStatus] = field(default_factory=dict)
    running: str | None = None


class Jobs:
    """The line's jobs, at most one of them in progress."""

    def __init__(self, state: JobsState, *, place: Place, plant: Plant, spec: LineConfig, emitter: Emitter) -> None:
        self._state = state
        self._place = place
        self._rules = plant.rules_of(spec)
        self._emitter = emitter

    @property
    def running(self) -> JobRecord | None:
        """The job in progress; a paused one is not running."""
        return None if self._state.running is None else self._state.open[self._state.running]

    def apply(self, body: JobReport, *, moment: Moment) -> Disposition:
        """Apply a report or command to a job, or return why not; a job is the line's, whatever the source."""
        if body.action == "assign":
            return self._assign(body, moment)
        job = self._state.open.get(body.job_id)
        if job is None:
            status = self._state.final.get(body.job_id)
            return rejected("unknown_job") if status is None else JOB_REFUSALS[status, body.action]
        after = NEXT.get((job.status, body.action))
        if after is None:
            return JOB_REFUSALS[job.status, body.action]
        if after == "in_progress" and not self._free_line(moment):
            return rejected("another_job_running")
        self._set_status(job, after, moment, reason=body.reason)
        return APPLIED

    def count(self, total: int, good: int, *, moment: Moment) -> None:
        """Add pieces to the running job; complete it at the piece that reaches its target, if configured so."""
        job = self.running
        if job is None:
            return
        before = job.good
        job.total = max(0, job.total + total)  # a correction never makes a quantity negative
        job.good = max(0, job.good + good)
        if self._rules.complete_at_target and before < job.target_quantity <= job.good:
            self._set_status(job, "completed", moment)

    def _assign(self, body: JobReport, moment: Moment) -> Disposition:
        if body.product is None or body.target_quantity is None:
            return rejected("incomplete")
        if body.job_id in self._state.final:
            return rejected("already_final")
        existing = self._state.open.get(body.job_id)
        if existing is not None:
            same = (existing.product, existing.target_quantity, existing.assigned_to) == (
                body.product,
                body.target_quantity,
                body.assigned_to,
            )
            # The previous assignee would not learn that a job moved to somebody else: cancel it and assign a new one.
            return suppressed("already_assigned") if same else rejected("assigned_otherwise")
        if len(self._state.open) >= MAX_OPEN_JOBS:
            return rejected("too_many_jobs")
        job = JobRecord(
            job_id=body.job_id,
            product=body.product,
            target_quantity=body.target_quantity,
            assigned_to=body.assigned_to,
            assigned_by=moment.person,
        )
        self._state.open[body.job_id] = job
        self._emit(job, moment)
        return APPLIED

    def _free_line(self, moment: Moment) -> bool:
        """Complete the running job if the plant lets a second start do so; return whether the line is free."""
        running = self.running
        if running is None:
            return True
        if self._rules.auto_complete_jobs:
            self._set_status(running, "completed", moment)
            return True
        return False

    def _set_status(self, job: JobRecord, status: JobStatus, moment: Moment, *, reason: str | None = None) -> None:
        job.status = status
        if status == "accepted":
            job.accepted_at = moment.at
        elif status == "in_progress":
            job.started_at = moment.at if job.started_at is None else job.started_at
            self._state.running = job.job_id
        elif self._state.running == job.job_id:
            self._state.running = None
        if status in FINAL_JOB_STATUSES:
            del self._state.open[job.job_id]
            self._state.final[job.job_id] = status
            drop_oldest(self._state.final, limit=MAX_FINAL_JOBS)
        self._emit(job, moment, reason=reason)

    def _emit(self, job: JobRecord, moment: Moment, *, reason: str | None = None) -> None:
        started = job.started_at is not None
        data = Job(
            job_id=job.job_id,
            product=job.product,
            status=job.status,
            target_quantity=job.target_quantity,
            assigned_to=None if job.assigned_to is None else Person(job.assigned_to),
            assigned_by=job.assigned_by,
            accepted_at=rfc3339_or_none(job.accepted_at),
            started_at=rfc3339_or_none(job.started_at),
            completed_at=rfc3339_or_none(moment.at if job.status == "completed" else None),
            cancelled_at=rfc3339_or_none(moment.at if job.status == "cancelled" else None),
            actual_quantity=job.total if started else None,
            good_quantity=job.good if started else None,
            cancellation_reason=reason if job.status == "cancelled" else None,
        )
        self._emitter.emit(
            EVENT_TYPE_OF[job.status],
            data,
            moment=moment,
            equipment=None,
            subject=job.job_id,
            priority=Priority.MEDIUM,
            standing=Standing.CLOSED if job.status in FINAL_JOB_STATUSES else Standing.CURRENT,
        )
