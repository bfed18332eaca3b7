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
from bridge.domain.events import LINE_LEVEL, Millis
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
from bridge.domain.reports import BirthReport, DeathReport, Moment, Report, StateReport
from bridge.domain.shifts import ShiftPlan

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
        return any(scope in each.scopes for each in self.state.pending)

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
        line, left = self.state.pending_of(LINE_LEVEL), dict(scopes)
        if line is not None and LINE_LEVEL not in line.scopes:
            line.scopes[LINE_LEVEL] = replace(scopes[LINE_LEVEL], since=at)
            line.open_downtime = open_downtime
        for each in self.state.pending:
            each.mark_unwatched(self._equipment.machines, at=at)
            left = {scope: before for scope, before in left.items() if scope not in each.scopes}
        views = self._equipment.plc_views
        if left:
            self.state.add(
                AbsenceRecord(
                    start=at, views=views, scopes=left, open_downtime=open_downtime, silent_machines=sorted(views)
                )
            )

    def backlog_spans(self, equipment: str | None, now: Millis) -> list[TimeSpan]:
        """Return the spans in which reports of a device may have been queued."""
        found: list[TimeSpan] = []
        for each in self.state.records:
            since = each.start if equipment is None else each.absent_since(equipment)
            if since is not None:
                found.append(TimeSpan(since, now if each.end is None else each.end))
        return found

    def is_superseded(self, equipment: str, moment: Moment) -> bool:
        """Return whether newer data of the machine is known, so that the report does not describe the present."""
        return any(each.is_superseded(equipment, moment.happened_at) for each in self.state.records)

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
        proven = trusted and sequenced and gapless
        for each in self.state.records:
            after = each.end is not None and happened_at >= each.end and each.concerns(name)
            if after and each.add_later_report(name, at=happened_at, gapless=proven):
                self._schedule(each, now, is_late=False)
        for record in self.state.records_at(name, happened_at):
            if record.end is not None and happened_at >= record.end:
                continue
            sure = has_state or (sequenced and gapless)
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
                current_known=sure or follows,
                proven_gapless=proven,
            )
            self._schedule(record, now, is_late=trusted and now - happened_at >= BACKLOG_AGE_MS)

    def _add_birth_or_death(self, body: BirthReport | DeathReport, name: str, *, now: Millis, gapless: bool) -> None:
        """Note the birth or death of a machine with a trusted clock; neither reveals the machine's status."""
        for record in self.state.records:
            if record.concerns(name):
                if isinstance(body, BirthReport) and (record.end is None or name in record.silent_machines):
                    record.record_birth(name, gapless=gapless)
                if record.end is None and record.unwatched:
                    self._schedule(record, now, is_late=False)

    def _schedule(self, record: AbsenceRecord, now: Millis, *, is_late: bool) -> None:
        """Set when the record is rebuilt: once its backlog seems complete, or the longest wait is over.

        An absence of devices gets no deadline here until they have reported.
        """
        if record.end is not None:
            record.due = now + BACKLOG_SETTLE_MS if record.due is None else record.due
            return
        waits = record.is_waiting
        if waits and not record.unwatched:
            record.due = now + BACKLOG_SETTLE_MS if is_late and record.due is not None else record.due
            return
        record.first_report_at = now if record.first_report_at is None else record.first_report_at
        if record.is_full:
            record.due = now
        elif not waits and (is_late or record.due is None or record.due > now + BACKLOG_SETTLE_MS):
            record.due = min(now + BACKLOG_SETTLE_MS, record.first_report_at + MAX_BACKLOG_MS)
        elif waits:
            record.due = record.first_report_at + SILENT_MACHINE_WAIT_MS
        record.due = max(record.due or now, now)

    def make_due(self, at: Millis) -> None:
        """Make every outstanding rebuild due at `at`, with the data known then."""
        for record in self.state.records:
            if record.end is None or record.due is not None:
                record.due = at

    def next_deadline(self) -> Millis | None:
        return min((each.due for each in self.state.records if each.due is not None), default=None)

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
        record = next(each for each in self.state.records if each.due is not None and each.due <= moment.at)
        goes_on, until = record.end is None, record.end or moment.at
        record.due, record.end = None, until
        if not record.scopes:
            self.state.records = [each for each in self.state.records if each is not record]
        for scope, timeline in self._build_timelines(record, output, until=until, without_job=without_job):
            moved = output.rebuild(scope, timeline, record.scopes[scope], continues=goes_on, moment=moment)
            if scope == LINE_LEVEL and goes_on:
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
        turns = set(self._shift_boundaries(record.start, until))
        found: dict[str, list[Observation]] = {LINE_LEVEL: [], **{name: [] for name in record.views}}
        views = dict(record.views)
        # as in live operation, each report counts separately, even at the same instant
        begun: list[tuple[Millis, StatusPoint | None]] = [(at, None) for at in sorted({record.start, *turns})]
        points = [(point.at, point) for point in record.sorted_points(until)]
        course = sorted([*begun, *points], key=lambda each: each[0])
        for (at, point), following in zip(course, [*course[1:], None], strict=True):
            scheduled = self._plan.window_at(at).is_scheduled
            if point is not None:
                views[point.view.equipment] = point.view
                if following is not None and following[0] == at and _is_offline(point) and _is_offline(following[1]):
                    continue  # machines lost at the same instant are lost together
            elif at in turns and not scheduled:
                for each in found.values():
                    each.append(Observation(at, Signal.OFF))  # the end of scheduled time ends every stop
            for name, view in views.items():
                found[name].append(
                    Observation(
                        at, _unwatched_signal(view.status, scheduled=scheduled, known_stopped=view.known_stopped)
                    )
                )
            seen = diagnose(list(views.values()))
            signal = _unwatched_signal(seen.status, scheduled=scheduled, known_stopped=seen.known_stopped)
            found[LINE_LEVEL].append(Observation(at, signal, with_no_order_cause(seen) if without_job else seen))
        return dict(found)

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
    before = [each for each in signals if each.at <= since]
    return [dataclasses.replace(before[-1], at=since), *(each for each in signals if each.at > since)]


def _unwatched_signal(status: Status, *, scheduled: bool, known_stopped: bool) -> Signal:
    """Return the signal as in live operation, except that an unknown status is LOST outside scheduled time too."""
    if status == "offline" and not known_stopped:
        return Signal.LOST
    return signal_of(status, scheduled=scheduled, known_stopped=known_stopped)
