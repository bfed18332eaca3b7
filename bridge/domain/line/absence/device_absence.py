"""Absences of devices while the bridge is observing: after a death, a Will or silence. Source: domain.md, «Time».

A machine with a trusted clock may report later what it did while absent. Its own time is rebuilt after that. The line's
is rebuilt once all deciding machines have reported, or once the line is known to be stopped by another machine.
"""

from collections.abc import Sequence

from bridge.domain.line.absence.absences import BACKLOG_SETTLE_MS, Absences
from bridge.domain.line.absence.record import AbsenceRecord
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.line.output.line_output import Output
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import Moment
from bridge.domain.utc_time import Millis


class DeviceAbsences(Absences):
    """Absences of the bridge and of its devices."""

    def mark_lost(self, machines: Sequence[Machine], *, at: Millis) -> dict[str, MachineView]:
        """Mark absent machines as lost in the pending absences; call it before their views are refreshed.

        Returns the last views of those that have no absence yet.
        """
        lost_views: dict[str, MachineView] = {}
        for machine in machines:
            name = machine.spec.id
            if not is_absent(machine):
                continue
            pending = [record for record in self.state.pending if record.concerns(name)]
            for record in pending:
                record.mark_lost(name, known_stopped=machine.view().known_stopped, last_report_at=at, at=at)
            if not any(record.scope in (None, name) for record in pending):
                lost_views[name] = self._equipment.view(machine)
        return lost_views

    def update(
        self,
        lost: dict[str, MachineView],
        machines: Sequence[Machine],
        diagnosis: Diagnosis,
        *,
        output: Output,
        open_downtime: str | None,
        moment: Moment,
    ) -> None:
        """Begin the absences of lost machines, and update that of the line."""
        if not lost and not self.state.pending:
            return
        for name, view in lost.items():
            self._begin_machine(self._equipment.machines[name], view, output=output, at=moment.at)
        self._begin_line(at=moment.at)
        now = max(moment.at, moment.received)
        self._add_known_again(machines, at=moment.at, now=now)
        line = self.state.pending_of(LINE_LEVEL)
        if line is None or line.scope is None:
            return
        for machine in machines:
            if machine.spec.id in line.views and not line.concerns(machine.spec.id):
                line.add_watched_view(self._equipment.view(machine), at=moment.at)
        is_known = diagnosis.status != "offline" or self._is_stopped_by_present_machine(line)
        if not is_known and LINE_LEVEL not in line.scopes:
            before = output.mark_lost(LINE_LEVEL, moment.at)
            assert before is not None, "every line has an OEE"
            line.scopes[LINE_LEVEL], line.open_downtime = before, open_downtime
        if LINE_LEVEL in line.scopes:
            self._schedule_line(line, is_known=is_known, now=now)

    def _is_stopped_by_present_machine(self, line: AbsenceRecord) -> bool:
        """Return whether the line is known to be stopped by a machine whose reports are not awaited."""
        views = self._equipment.plc_views
        return any(
            view.known_stopped and view.decides and name not in line.silent_machines for name, view in views.items()
        )

    def set_forward(self, by: Millis) -> None:
        """Shift pending absences by a forward step of the host's clock, so that they begin after the skipped time."""
        for record in self.state.pending:
            record.start += by
            record.lost_devices = {name: at + by for name, at in record.lost_devices.items()}
            record.known_until = {name: at + by for name, at in record.known_until.items()}
            for scope_state in record.scopes.values():
                scope_state.since = None if scope_state.since is None else scope_state.since + by

    def _begin_machine(self, machine: Machine, view: MachineView, *, output: Output, at: Millis) -> None:
        name, earlier = machine.spec.id, self._find_silent(machine.spec.id)
        if earlier is not None:
            view = earlier.last_view(name)
        last_seen_at = machine.device.state.last_seen_at
        last_report_at = (earlier and earlier.absent_since(name)) or (
            at if last_seen_at is None else min(last_seen_at, at)
        )
        record = AbsenceRecord(start=at, views={name: view}, scopes={}, open_downtime=None, scope=name, unwatched=False)
        record.lost_devices[name] = last_report_at
        record.add_silent_machine(name, known_stopped=machine.view().known_stopped)
        before = output.mark_lost(name, at)
        if before is not None:
            record.scopes[name] = before
        self.state.add(record)
        line = self.state.pending_of(LINE_LEVEL)
        if line is not None and line.scope is not None:
            line.mark_lost(name, known_stopped=machine.view().known_stopped, last_report_at=last_report_at, at=at)

    def _begin_line(self, *, at: Millis) -> None:
        """Begin an absence of the line if a deciding machine is absent."""
        if self.state.pending_of(LINE_LEVEL) is not None:
            return
        views = self._equipment.plc_views
        absent = {
            absence.scope: absence
            for absence in self.state.pending
            if absence.scope is not None and absence.silent_machines
        }
        if not any(views[name].decides for name in absent):
            return
        record = AbsenceRecord(start=at, views=views, scopes={}, open_downtime=None, scope=LINE_LEVEL, unwatched=False)
        for name, absence in absent.items():
            record.views[name], record.lost_devices[name] = absence.last_view(name), absence.lost_devices[name]
            record.add_silent_machine(name, known_stopped=self._equipment.machines[name].view().known_stopped)
        self.state.add(record)

    def _find_silent(self, name: str) -> AbsenceRecord | None:
        """Return the latest absence since which the machine has not reported."""
        return next((record for record in reversed(self.state.records) if name in record.silent_machines), None)

    def _add_known_again(self, machines: Sequence[Machine], *, at: Millis, now: Millis) -> None:
        """Add machines whose status is known again by a report that was not applied, such as one of bad quality."""
        for machine in machines:
            view = self._equipment.view(machine)
            for record in self.state.pending:
                if record.scope is not None and view.status != "offline" and view.equipment in record.silent_machines:
                    record.add_report(
                        view, at=at, gapless=False, has_state=True, current_known=True, proven_gapless=False
                    )
                    self._schedule(record, now, is_late=False)

    def _schedule_line(self, line: AbsenceRecord, *, is_known: bool, now: Millis) -> None:
        """Schedule the line's rebuild while its status is known without the reports of absent machines."""
        if line.unwatched or not line.is_waiting:
            return
        if not is_known:
            line.due = None
        elif line.due is None:
            line.due = now + BACKLOG_SETTLE_MS


def is_absent(machine: Machine) -> bool:
    """Return whether the machine is offline and, by its trusted clock, may report its history later."""
    trusted = machine.spec.kind == "plc" and machine.spec.has_trusted_clock
    return trusted and machine.device.state.offline is not None
