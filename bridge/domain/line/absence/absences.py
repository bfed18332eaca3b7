"""Absences of a line: unobserved time, rebuilt once late reports have filled it in. Source: domain.md, «Time».

The time of an absence's scopes is unknown until the deciding machines report again and their backlog has arrived. Then
the absence is rebuilt from reports dated by trusted clocks, and stop tracking continues from the result. The absences
of devices begin in `device_absence`.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from bridge.domain.event_data import Status
from bridge.domain.line.absence.record import (
    MAX_UNSEQUENCED_GAP_MS,
    AbsenceRecord,
    AbsenceState,
    StateBeforeLoss,
    StatusPoint,
    unknown_view,
)
from bridge.domain.line.device.timestamps import TimeSpan
from bridge.domain.line.downtime.rebuild import RebuildableDowntimes
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.downtime.stop_tracker import Signal, StopChange
from bridge.domain.line.downtime.timeline import Observation, Timeline
from bridge.domain.line.equipment.equipment_group import EquipmentGroup
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.line.equipment.status import diagnose, with_no_order_cause
from bridge.domain.line.output.line_output import Output, signal_of
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import BirthReport, DeathReport, Moment, Report, StateReport
from bridge.domain.shifts import ShiftPlan
from bridge.domain.utc_time import Millis

BACKLOG_SETTLE_MS: Final = 5_000  # without further backlog for this long, the history is complete
SILENT_MACHINE_WAIT_MS: Final = 90_000  # for machines that do not report; a live one reports once a minute
MAX_BACKLOG_MS: Final = 600_000  # longest wait for a backlog; later reports cause another rebuild
BACKLOG_AGE_MS: Final = 5_000  # a report that arrives this long after it was made belongs to a backlog


class Absences:
    """Records of the latest absences: schedules the rebuild of each, and performs it."""

    def __init__(self, state: AbsenceState, *, equipment: EquipmentGroup, plan: ShiftPlan) -> None:
        self.state = state
        self._equipment = equipment
        self._plan = plan

    def is_pending(self, scope: str) -> bool:
        """Return whether a scope's current time is still unknown, whatever machines report meanwhile."""
        return bool(self.state.records) and any(scope in record.scopes for record in self.state.pending)

    @property
    def may_revise_stop(self) -> bool:
        """Return whether history from trusted clocks may show that the current stop is not the one from before."""
        record, machines = self.state.pending_of(LINE_LEVEL), self._equipment.machines
        if record is None or record.first_report_at is None or LINE_LEVEL not in record.scopes:  # nothing to rebuild
            return False
        deciding = [name for name, view in record.views.items() if view.decides]
        return any(name in machines and machines[name].spec.has_trusted_clock for name in deciding)

    def begin(self, at: Millis, scopes: dict[str, StateBeforeLoss], *, open_downtime: str | None) -> None:
        """Record the state of every scope when the bridge stopped observing; call it before machines are made unknown.

        Pending absences continue. A pending line absence caused by devices takes over the line's scope.
        """
        line, remaining = self.state.pending_of(LINE_LEVEL), dict(scopes)
        if line is not None and LINE_LEVEL not in line.scopes:
            line.scopes[LINE_LEVEL] = replace(scopes[LINE_LEVEL], since=at)
            line.open_downtime = open_downtime
        for record in self.state.pending:
            record.mark_unobserved(self._equipment.machines, at=at)
            remaining = {scope: before for scope, before in remaining.items() if scope not in record.scopes}
        views = self._equipment.plc_views
        if remaining:
            self.state.add(
                AbsenceRecord(
                    start=at, views=views, scopes=remaining, open_downtime=open_downtime, silent_machines=sorted(views)
                )
            )

    def backlog_spans(self, equipment: str | None, now: Millis) -> list[TimeSpan]:
        """Return the spans in which reports of a device may have been queued."""
        spans: list[TimeSpan] = []
        for record in self.state.records:
            since = record.start if equipment is None else record.absent_since(equipment)
            if since is not None:
                spans.append(TimeSpan(since, now if record.end is None else record.end))
        return spans

    def is_superseded(self, equipment: str, moment: Moment) -> bool:
        """Return whether newer data of the machine is known, so that the report does not describe the present."""
        return any(record.is_superseded(equipment, moment.happened_at) for record in self.state.records)

    def add_report(self, report: Report, machine: Machine, moment: Moment, *, now: Millis, gapless: bool) -> None:
        """Add an applied report to the records; `gapless`: no report is missing before it."""
        if not self.state.records or report.actor is not None or machine.spec.kind != "plc":
            return
        body = report.body
        if machine.spec.has_trusted_clock and isinstance(body, BirthReport | DeathReport):
            self._add_birth_or_death(body, machine.spec.id, now=now, gapless=gapless)
            return
        view = machine.view()
        if self.is_superseded(machine.spec.id, moment):
            view = unknown_view(view)
            if isinstance(body, StateReport):
                as_it_was = machine.copy()
                as_it_was.apply_state(body, moment=moment, retained=report.retained)
                view = as_it_was.view()
        self._add_view(
            view,
            now=now,
            happened_at=moment.happened_at,
            trusted=moment.dated is not None,
            has_state=isinstance(body, StateReport | BirthReport | DeathReport),
            sequenced=body.is_sequenced,
            gapless=gapless,
        )

    def _add_view(
        self,
        view: MachineView,
        *,
        now: Millis,
        happened_at: Millis,
        trusted: bool,
        has_state: bool,
        sequenced: bool,
        gapless: bool,
    ) -> None:
        """Add a report's view.

        `trusted`: a trusted clock dates it; `sequenced`: it has a sequence number; `gapless`: no report is missing
        before it.
        """
        name = view.equipment
        proven_gapless = trusted and sequenced and gapless
        for record in self.state.records:
            is_after = record.end is not None and happened_at >= record.end and record.concerns(name)
            if is_after and record.add_later_report(name, at=happened_at, gapless=proven_gapless):
                self._schedule(record, now, is_late=False)
        for record in self.state.records_at(name, happened_at):
            if record.end is not None and happened_at >= record.end:
                continue
            current_known = has_state or (sequenced and gapless)
            if not trusted:
                follows = name not in record.silent_machines  # received live; otherwise its time is unknown
            elif not sequenced:
                follows = happened_at - record.last_known_at(name, happened_at) <= MAX_UNSEQUENCED_GAP_MS
            else:
                follows = gapless
            record.add_report(
                view,
                at=happened_at,
                gapless=follows,
                has_state=has_state,
                current_known=current_known or follows,
                proven_gapless=proven_gapless,
            )
            self._schedule(record, now, is_late=trusted and now - happened_at >= BACKLOG_AGE_MS)

    def _add_birth_or_death(self, body: BirthReport | DeathReport, name: str, *, now: Millis, gapless: bool) -> None:
        """Record the birth or death of a machine with a trusted clock; neither reveals the machine's status."""
        for record in self.state.records:
            if record.concerns(name):
                if isinstance(body, BirthReport) and (record.end is None or name in record.silent_machines):
                    record.record_birth(name, gapless=gapless)
                if record.end is None and record.unobserved:
                    self._schedule(record, now, is_late=False)

    def _schedule(self, record: AbsenceRecord, now: Millis, *, is_late: bool) -> None:
        """Set when the record is rebuilt: once its backlog seems complete, or the longest wait is over.

        An absence of devices gets no deadline here until they have reported.
        """
        if record.end is not None:
            record.due = now + BACKLOG_SETTLE_MS if record.due is None else record.due
            return
        is_waiting = record.is_waiting
        if is_waiting and not record.unobserved:
            record.due = now + BACKLOG_SETTLE_MS if is_late and record.due is not None else record.due
            return
        record.first_report_at = now if record.first_report_at is None else record.first_report_at
        if record.is_full:
            record.due = now
        elif not is_waiting and (is_late or record.due is None or record.due > now + BACKLOG_SETTLE_MS):
            record.due = min(now + BACKLOG_SETTLE_MS, record.first_report_at + MAX_BACKLOG_MS)
        elif is_waiting:
            record.due = record.first_report_at + SILENT_MACHINE_WAIT_MS
        record.due = max(record.due or now, now)

    def next_deadline(self) -> Millis | None:
        return min((record.due for record in self.state.records if record.due is not None), default=None)

    def rebuild_due(
        self,
        output: Output,
        downtimes: RebuildableDowntimes,
        *,
        changeover_since: Millis | None,
        without_job: bool,
        moment: Moment,
    ) -> StopChange | None:
        """Rebuild the absence that is due; after its first rebuild, stop tracking continues from the result.

        Returns the end of the downtime that was open until now, if it proves to be over.
        """
        record = next(record for record in self.state.records if record.due is not None and record.due <= moment.at)
        continues, until = record.end is None, record.end or moment.at
        record.due, record.end = None, until
        if not record.scopes:
            self.state.records = [other for other in self.state.records if other is not record]
        for scope, timeline in self._build_timelines(record, output, until=until, without_job=without_job):
            moved = output.rebuild(scope, timeline, record.scopes[scope], continues=continues, moment=moment)
            if scope == LINE_LEVEL and continues:
                return downtimes.rebuild(
                    timeline, open_before=record.open_downtime, changeover_since=changeover_since, moment=moment
                )
            if scope == LINE_LEVEL:
                downtimes.add_lost_time(timeline, moved, changeover_since=changeover_since, moment=moment)
        return None

    def _build_timelines(
        self, record: AbsenceRecord, output: Output, *, until: Millis, without_job: bool
    ) -> Iterator[tuple[str, Timeline]]:
        """Yield each scope's rebuilt timeline, the line last."""
        signals = self._build_signals(record, until, without_job=without_job)
        for scope in sorted(record.scopes, key=lambda scope: scope == LINE_LEVEL):
            if scope in signals:
                before = record.scopes[scope]
                since = record.start if before.since is None else before.since
                yield scope, output.build_timeline(scope, before, _signals_since(signals[scope], since), since, until)

    def _build_signals(
        self, record: AbsenceRecord, until: Millis, *, without_job: bool
    ) -> dict[str, Sequence[Observation]]:
        boundaries = set(self._shift_boundaries(record.start, until))
        signals: dict[str, list[Observation]] = {LINE_LEVEL: [], **{name: [] for name in record.views}}
        views = dict(record.views)
        # as in live operation, each report counts separately, even at the same instant
        starts: list[tuple[Millis, StatusPoint | None]] = [(at, None) for at in sorted({record.start, *boundaries})]
        points = [(point.at, point) for point in record.sorted_points(until)]
        instants = sorted([*starts, *points], key=lambda item: item[0])
        for (at, point), following in zip(instants, [*instants[1:], None], strict=True):
            scheduled = self._plan.window_at(at).is_scheduled
            if point is not None:
                views[point.view.equipment] = point.view
                if following is not None and following[0] == at and _is_offline(point) and _is_offline(following[1]):
                    continue  # machines lost at the same instant are lost together
            elif at in boundaries and not scheduled:
                for observations in signals.values():
                    observations.append(Observation(at, Signal.OFF))  # the end of scheduled time ends every stop
            for name, view in views.items():
                signals[name].append(
                    Observation(
                        at, _unobserved_signal(view.status, scheduled=scheduled, known_stopped=view.known_stopped)
                    )
                )
            diagnosis = diagnose(list(views.values()))
            signal = _unobserved_signal(diagnosis.status, scheduled=scheduled, known_stopped=diagnosis.known_stopped)
            signals[LINE_LEVEL].append(
                Observation(at, signal, with_no_order_cause(diagnosis) if without_job else diagnosis)
            )
        return dict(signals)

    def _shift_boundaries(self, start: Millis, until: Millis) -> Iterator[Millis]:
        at = self._plan.window_at(start).end
        while at < until:
            yield at
            at = self._plan.window_at(at).end


def _is_offline(point: StatusPoint | None) -> bool:
    return point is not None and point.view.status == "offline"


def _signals_since(signals: Sequence[Observation], since: Millis) -> list[Observation]:
    """Return the signal in effect at `since`, dated `since`, and those after it."""
    if since <= signals[0].at:
        return list(signals)
    earlier = [observation for observation in signals if observation.at <= since]
    return [
        dataclasses.replace(earlier[-1], at=since),
        *(observation for observation in signals if observation.at > since),
    ]


def _unobserved_signal(status: Status, *, scheduled: bool, known_stopped: bool) -> Signal:
    """Return the signal as in live operation, except that an unknown status is LOST outside scheduled time too."""
    if status == "offline" and not known_stopped:
        return Signal.LOST
    return signal_of(status, scheduled=scheduled, known_stopped=known_stopped)
