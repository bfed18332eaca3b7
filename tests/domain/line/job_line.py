"""One line's jobs for tests."""

from typing import Final, Literal

from bridge.domain.emitter import Emitter, Subjects
from bridge.domain.event_data import Job
from bridge.domain.events import Event, EventType
from bridge.domain.line.jobs import Jobs, JobsState
from bridge.domain.reports import APPLIED, Actor, Disposition, JobReport, Moment
from bridge.domain.utc_time import Millis
from tests.support.one_line_plant import from_checkpoint, one_line_plant

START: Final[Millis] = 1_750_000_000_000

SECOND: Final = 1_000

PLANNER: Final = Actor("paula", ("production_manager",), ("+",), "Paula")

Action = Literal["accept", "start", "pause", "complete", "cancel"]


class JobLine:
    def __init__(self, **rules: bool) -> None:
        self.plant = one_line_plant(rules=rules)
        self.state = JobsState()
        self.subjects = Subjects()
        self.now = START
        self.restore()

    def restore(self) -> None:
        self.state = from_checkpoint(self.state)
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
        self.new_updates()

    def count(self, total: int, good: int) -> None:
        self.now += SECOND
        self.jobs.count(total, good, moment=Moment(at=self.now))

    def new_updates(self) -> list[tuple[EventType, Job]]:
        return [(event.type, event.data) for event in self.events() if isinstance(event.data, Job)]

    def events(self) -> tuple[Event, ...]:
        return self.emitter.drain()
