"""Operations of a line: calls, jobs, changeovers, quality, and the product that links them."""

from typing import assert_never

from bridge.domain import plant
from bridge.domain.emitter import Emitter
from bridge.domain.line.andon.automatic_calls import AutomaticCalls
from bridge.domain.line.andon.call_registry import CallRegistry
from bridge.domain.line.andon.calls import AndonActions
from bridge.domain.line.changeover import Changeovers
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.line.jobs import JobRecord, Jobs
from bridge.domain.line.line_state import OperationsState
from bridge.domain.line.output.line_output import Pieces
from bridge.domain.line.quality.alerts import QualityChecks
from bridge.domain.place import Place
from bridge.domain.reports import (
    APPLIED,
    AndonReport,
    ChangeoverReport,
    Disposition,
    InspectionReport,
    JobReport,
    MeasurementReport,
    Moment,
    QualityReport,
)
from bridge.domain.utc_time import Millis

OperationsReport = AndonReport | JobReport | ChangeoverReport | MeasurementReport | InspectionReport | QualityReport


class Operations:
    """Routes reports to their part, and keeps the line's product: the running job's, else the one machines report."""

    def __init__(
        self,
        state: OperationsState,
        *,
        place: Place,
        plant_config: plant.Plant,
        spec: plant.LineConfig,
        emitter: Emitter,
    ) -> None:
        self._state = state
        self._call_registry = CallRegistry(state.andon, place=place, plant=plant_config, spec=spec, emitter=emitter)
        self._andon = AndonActions(self._call_registry, plant=plant_config, spec=spec)
        self.automatic_calls = AutomaticCalls(self._call_registry, line_id=spec.id)
        self._jobs = Jobs(state.jobs, place=place, plant=plant_config, spec=spec, emitter=emitter)
        self._changeovers = Changeovers(state.changeover, place=place, plant=plant_config, spec=spec, emitter=emitter)
        self._quality = QualityChecks(state.quality, place=place, spec=spec, emitter=emitter)
        self._ended: JobRecord | None = None

    @property
    def product(self) -> str | None:
        return self._state.product

    @property
    def running_job(self) -> JobRecord | None:
        return self._jobs.running

    @property
    def is_changing_over(self) -> bool:
        return self._changeovers.running is not None

    @property
    def changeover_since(self) -> Millis | None:
        """The time at which the running changeover was signalled."""
        running = self._changeovers.running
        return None if running is None else running.signalled_at

    @property
    def has_no_job(self) -> bool:
        """Return whether no job runs, on a line that is known to work by jobs."""
        return self._state.had_job and self._jobs.running is None

    def apply(self, body: OperationsReport, *, equipment: str | None, runs: bool, moment: Moment) -> Disposition:
        match body:
            case AndonReport():
                return self._andon.apply(body, equipment=equipment, moment=moment)
            case JobReport():
                return self._apply_job(body, runs=runs, moment=moment)
            case ChangeoverReport():
                return self._changeovers.apply(body, moment=moment)
            case MeasurementReport() | InspectionReport() | QualityReport():
                return self._quality.apply(body, equipment=equipment, moment=moment)
            case _:
                assert_never(body)

    def count_pieces(self, made: Pieces, *, runs: bool, moment: Moment) -> None:
        """Count pieces of the line for its changeover and its running job."""
        self._changeovers.count(good=made.good, reject=made.reject, hidden=made.hidden, runs=runs, moment=moment)
        running_before = self._jobs.running
        self._jobs.count(made.total, made.good, moment=moment)
        self._record_ended_job(running_before)

    def observe(self, diagnosis: Diagnosis, product: str | None, *, moment: Moment) -> None:
        """Record the line's status, and the product that machines report; a running job's product takes precedence."""
        status = diagnosis.status
        if status != "offline":  # after setup it may make another product
            self._changeovers.observe_setup(in_setup=status == "setup", at=moment.at)
        is_stopped = diagnosis.known_stopped or status not in ("running", "offline")
        self._changeovers.observe_standstill(is_stopped=is_stopped, at=moment.at)
        if product is None or product == self._state.reported_product:
            return
        self._state.reported_product = product
        if self._jobs.running is None:
            self._set_product(product, runs=status == "running", moment=moment)

    def take_ended_job(self) -> JobRecord | None:
        """Return, once, the job that has just ended or paused, with its final count."""
        ended, self._ended = self._ended, None
        return ended

    def next_deadline(self) -> Millis | None:
        return self._call_registry.next_deadline()

    def set_forward(self, by: Millis) -> None:
        """Shift the deadlines of calls by a forward jump of the host's clock."""
        self._call_registry.set_forward(by)

    def fire(self, moment: Moment) -> None:
        self._call_registry.fire(moment)

    def _apply_job(self, body: JobReport, *, runs: bool, moment: Moment) -> Disposition:
        running_before = self._jobs.running
        job = self._state.jobs.open.get(body.job_id)
        changeover = self._changeovers.running
        disposition = self._jobs.apply(body, moment=moment)
        if disposition != APPLIED:
            return disposition
        self._record_ended_job(running_before)
        if body.action == "cancel" and job is not None and changeover and changeover.to_product == job.product:
            self._changeovers.abandon(moment=moment)
        running = self._jobs.running
        if running is not None and body.action == "start":
            self._state.had_job = True
            self._set_product(running.product, runs=runs, moment=moment)
        return disposition

    def _record_ended_job(self, running_before: JobRecord | None) -> None:
        if running_before is not None and self._jobs.running is not running_before:
            self._ended = running_before

    def _set_product(self, product: str, *, runs: bool, moment: Moment) -> None:
        before = self._state.product
        if product == before:
            return
        self._state.product = product
        self._quality.reset_windows()
        self._changeovers.observe_product_change(from_product=before, to_product=product, runs=runs, moment=moment)
