"""The absences of a line: what nobody watched is gone through again once enough is known of it. Source: DOMAIN, «Time».

From the absence on, until the machines that decide are heard again and their backlog has come, the time of its scopes
is unknown. Then the stretch is gone through by what trusted clocks say of it, and the watches go on from there. The
absences of devices begin in `device_absence`.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from bridge.core.event_data import Status
from bridge.core.events import LINE_LEVEL, Millis
from bridge.core.line.absence_record import UNSEQUENCED_MS, AbsenceRecord, AbsenceState, Before, Point, unknown_view
from bridge.core.line.culprit import MachineView
from bridge.core.line.dating import ClockUsed, Span
from bridge.core.line.device import Device
from bridge.core.line.downtime_rebuild import RebuiltDowntimes
from bridge.core.line.equipment import Machine
from bridge.core.line.flow import Flow
from bridge.core.line.output import Output, signal_of
from bridge.core.line.sequence import Placed, Run
from bridge.core.line.status import diagnose, without_order
from bridge.core.line.stops import Signal, StopChange
from bridge.core.line.timeline import Known, Timeline
from bridge.core.reports import BirthReport, DeathReport, Moment, Report, StateReport
from bridge.core.shifts import ShiftPlan

SETTLE_MS: Final = 5_000  # without more of the backlog: then what was heard is all there is
PATIENCE_MS: Final = 90_000  # for machines that do not report: one that lives does so once a minute
LONGEST_MS: Final = 600_000  # for a backlog: what still comes then is added to what was gone through
BACKLOG_AGE_MS: Final = 5_000  # a report that arrives this long after it was made is of the backlog

TRUSTED: Final[frozenset[ClockUsed]] = frozenset({"device", "corrected"})


class Absences:
    """Keeps a record of each of the latest absences, and says when to go through it and how."""

    def __init__(self, state: AbsenceState, *, flow: Flow, plan: ShiftPlan) -> None:
        self.state = state
        self._flow = flow
        self._plan = plan

    def is_pending(self, scope: str) -> bool:
        """Whether a scope's time that passes now is still unknown, whatever machines say meanwhile."""
        return any(scope in each.scopes for each in self.state.pending)

    @property
    def in_doubt(self) -> bool:
        """Whether trusted clocks may yet tell that the stop which is seen now is not the one from before."""
        record, machines = self.state.pending_of(LINE_LEVEL), self._flow.machines
        if record is None or record.back_at is None or LINE_LEVEL not in record.scopes:  # nothing is seen
            return False
        deciding = [name for name, view in record.views.items() if view.decides]
        return any(name in machines and machines[name].spec.clock != "receive" for name in deciding)

    def begin(self, at: Millis, scopes: dict[str, Before], *, open_downtime: str | None) -> None:
        """Note how everything stood when nobody watched any more; before machines are made unknown.

        What is pending already goes on, and the line's, if it is of a device, is from now on of the line.
        """
        line, left = self.state.pending_of(LINE_LEVEL), dict(scopes)
        if line is not None and LINE_LEVEL not in line.scopes:
            line.scopes[LINE_LEVEL] = replace(scopes[LINE_LEVEL], since=at)
            line.open_downtime = open_downtime
        for each in self.state.pending:
            each.lose_all(self._flow.machines, at=at)
            left = {scope: before for scope, before in left.items() if scope not in each.scopes}
        views = self._flow.plc_views
        if left:
            self.state.add(
                AbsenceRecord(start=at, views=views, scopes=left, open_downtime=open_downtime, unheard=sorted(views))
            )

    def spans(self, equipment: str | None, now: Millis) -> list[Span]:
        """Return when reports of a device may have waited."""
        found: list[Span] = []
        for each in self.state.records:
            since = each.start if equipment is None else each.since(equipment)
            if since is not None:
                found.append(Span(since, now if each.end is None else each.end))
        return found

    def is_history(self, equipment: str, moment: Moment) -> bool:
        """Return whether a report is older than what is known of its machine: it says nothing of now."""
        return any(each.is_older(equipment, moment.happened) for each in self.state.records)

    def hear(self, report: Report, machine: Machine, moment: Moment, *, now: Millis, connected: bool) -> None:
        """Take an applied report into the record. `connected`: none is missing before it."""
        if not self.state.records or report.actor is not None or machine.spec.kind != "plc":
            return
        body = report.body
        if machine.spec.clock in TRUSTED and isinstance(body, BirthReport | DeathReport):
            self._note_presence(body, machine.spec.id, now=now, connected=connected)
            return
        view = machine.view()
        if self.is_history(machine.spec.id, moment):
            view = unknown_view(view)
            if isinstance(body, StateReport):
                as_it_was = machine.copied()
                as_it_was.apply_state(body, moment=moment, retained=report.retained)
                view = as_it_was.view()
        self._note(
            view,
            now=now,
            happened=moment.happened,
            clock=moment.clock,
            says_state=isinstance(body, StateReport | BirthReport | DeathReport),
            sequenced=is_sequenced(report),
            connected=connected,
        )

    def _note(
        self,
        view: MachineView,
        *,
        now: Millis,
        happened: Millis,
        clock: ClockUsed,
        says_state: bool,
        sequenced: bool,
        connected: bool,
    ) -> None:
        """Take a report into the record. `sequenced`: by its number; `connected`: none is missing before it."""
        name, trusted = view.equipment, clock in TRUSTED
        proven = trusted and sequenced and connected
        for each in self.state.records:
            after = each.end is not None and happened >= each.end and each.follows(name)
            if after and each.note_after(name, at=happened, connected=proven):
                self._postpone(each, now, is_late=False)
        for record in self.state.holding(name, happened):
            if record.end is not None and happened >= record.end:
                continue
            sure = says_state or (sequenced and connected)
            if not trusted:
                follows = name not in record.unheard  # it is heard as it happens, or nobody knows when
            elif not sequenced:
                follows = happened - record.known_at(name, happened) <= UNSEQUENCED_MS
            else:
                follows = connected
            record.note(view, at=happened, connected=follows, says_state=says_state, sure=sure or follows, joins=proven)
            self._postpone(record, now, is_late=trusted and now - happened >= BACKLOG_AGE_MS)

    def _note_presence(self, body: BirthReport | DeathReport, name: str, *, now: Millis, connected: bool) -> None:
        """Note the birth or death of a machine with a trusted clock: it says nothing of what the machine does."""
        for record in self.state.records:
            if record.follows(name):
                if isinstance(body, BirthReport) and (record.end is None or name in record.unheard):
                    record.start_anew(name, connected=connected)
                if record.end is None and record.unwatched:
                    self._postpone(record, now, is_late=False)

    def _postpone(self, record: AbsenceRecord, now: Millis, *, is_late: bool) -> None:
        """Set when the record is gone through: when the backlog seems to be over, or patience is.

        A device that is away is not waited for: until it is back, nothing is due.
        """
        if record.end is not None:
            record.due = now + SETTLE_MS if record.due is None else record.due
            return
        waits = record.waits
        if waits and not record.unwatched:
            record.due = now + SETTLE_MS if is_late and record.due is not None else record.due
            return
        record.back_at = now if record.back_at is None else record.back_at
        if record.full:
            record.due = now
        elif not waits and (is_late or record.due is None or record.due > now + SETTLE_MS):
            record.due = min(now + SETTLE_MS, record.back_at + LONGEST_MS)
        elif waits:
            record.due = record.back_at + PATIENCE_MS
        record.due = max(record.due or now, now)

    def hurry(self, at: Millis) -> None:
        """Let what has not been gone through be due now, with what is known of it."""
        for record in self.state.records:
            if record.end is None or record.due is not None:
                record.due = at

    def next_deadline(self) -> Millis | None:
        return min((each.due for each in self.state.records if each.due is not None), default=None)

    def go_through(
        self,
        output: Output,
        downtimes: RebuiltDowntimes,
        *,
        changing_since: Millis | None,
        without_job: bool,
        moment: Moment,
    ) -> StopChange | None:
        """Make of the absence that is due what is known of it now; the watches go on from the latest.

        Returns the end of the downtime that was open until now, if it turned out to be over.
        """
        record = next(each for each in self.state.records if each.due is not None and each.due <= moment.at)
        goes_on, until = record.end is None, record.end or moment.at
        record.due, record.end = None, until
        if not record.scopes:
            self.state.records = [each for each in self.state.records if each is not record]
        for scope, timeline in self._timelines(record, output, until=until, without_job=without_job):
            moved = output.rebuild(scope, timeline, record.scopes[scope], goes_on=goes_on, moment=moment)
            if scope == LINE_LEVEL and goes_on:
                return downtimes.rebuild(
                    timeline, open_before=record.open_downtime, changing_since=changing_since, moment=moment
                )
            if scope == LINE_LEVEL:
                downtimes.add(timeline, moved, changing_since=changing_since, moment=moment)
        return None

    def _timelines(
        self, record: AbsenceRecord, output: Output, *, until: Millis, without_job: bool
    ) -> Iterator[tuple[str, Timeline]]:
        """Go through the record again, scope by scope, the line last."""
        signals = self._signals(record, until, without_job=without_job)
        for scope in sorted(record.scopes, key=lambda scope: scope == LINE_LEVEL):
            if scope in signals:
                before = record.scopes[scope]
                since = record.start if before.since is None else before.since
                yield scope, output.go_through(scope, before, _from(signals[scope], since), since, until)

    def _signals(self, record: AbsenceRecord, until: Millis, *, without_job: bool) -> dict[str, Sequence[Known]]:
        turns = set(self._turns(record.start, until))
        found: dict[str, list[Known]] = {LINE_LEVEL: [], **{name: [] for name in record.views}}
        views = dict(record.views)
        # as when it is watched, each report is taken by itself, also of those of one instant
        begun: list[tuple[Millis, Point | None]] = [(at, None) for at in sorted({record.start, *turns})]
        points = [(point.at, point) for point in record.timeline(until)]
        course = sorted([*begun, *points], key=lambda each: each[0])
        for (at, point), following in zip(course, [*course[1:], None], strict=True):
            scheduled = self._plan.window_at(at).scheduled
            if point is not None:
                views[point.view.equipment] = point.view
                if following is not None and following[0] == at and _is_loss(point) and _is_loss(following[1]):
                    continue  # what is lost at one instant is lost at once
            elif at in turns and not scheduled:
                for each in found.values():
                    each.append(Known(at, Signal.OFF))  # every stop ends with scheduled time
            for name, view in views.items():
                found[name].append(Known(at, _signal(view.status, scheduled=scheduled, stands=view.stands)))
            seen = diagnose(list(views.values()))
            signal = _signal(seen.status, scheduled=scheduled, stands=seen.stands)
            found[LINE_LEVEL].append(Known(at, signal, without_order(seen) if without_job else seen))
        return dict(found)

    def _turns(self, start: Millis, until: Millis) -> Iterator[Millis]:
        at = self._plan.window_at(start).end
        while at < until:
            yield at
            at = self._plan.window_at(at).end


def is_sequenced(report: Report) -> bool:
    return report.body.boot_id is not None and report.body.seq is not None


def is_connected(report: Report, device: Device, placed: Placed, *, run_before: Run | None) -> bool:
    """Return whether none of the device's reports is missing before this one, as far as its sequence shows.

    What it sent before its sequence began anew may be missing, also where it repeats the id of its boot. A death proves
    nothing: its number is that of the connect, when the Will was written.
    """
    if isinstance(report.body, DeathReport):
        return False
    follows = placed.kind == "new" and placed.gap == 0 and placed.sure and not report.retained
    return follows and device.state.run is run_before


def is_cut_off(device: Device, placed: Placed, *, run_before: Run | None) -> bool:
    """Return whether some of the device's reports are missing before this one, as far as its sequence shows."""
    return placed.gap > 0 or device.state.run is not run_before


def _is_loss(point: Point | None) -> bool:
    return point is not None and point.view.status == "offline"


def _from(signals: Sequence[Known], since: Millis) -> list[Known]:
    """Return what holds at an instant, and what comes after."""
    if since <= signals[0].at:
        return list(signals)
    before = [each for each in signals if each.at <= since]
    return [dataclasses.replace(before[-1], at=since), *(each for each in signals if each.at > since)]


def _signal(status: Status, *, scheduled: bool, stands: bool) -> Signal:
    """Return a signal as when it is watched; but outside the plan, too, what is not known is not known to stand."""
    if status == "offline" and not stands:
        return Signal.LOST
    return signal_of(status, scheduled=scheduled, stands=stands)
