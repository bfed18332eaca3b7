"""The absences of devices while the bridge watches: after a death, a Will or silence. Source: DOMAIN, «Time».

A machine whose clock is trusted may report later what it did while it was away. Its own time is gone through again
once it has; the line's, once all machines that decide have, or when the line is known to stand by another machine.
"""

from collections.abc import Sequence

from bridge.domain.events import LINE_LEVEL, Millis
from bridge.domain.line.absence.absences import BACKLOG_SETTLE_MS, TRUSTED_CLOCKS, Absences
from bridge.domain.line.absence.record import AbsenceRecord
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.line.output.line_output import Output
from bridge.domain.reports import Moment


class DeviceAbsences(Absences):
    """The absences of the bridge and of its devices."""

    def mark_lost(self, machines: Sequence[Machine], *, at: Millis) -> dict[str, MachineView]:
        """Note which of these machines are away; before their views are refreshed.

        Returns those of which no absence is noted yet, as they were before.
        """
        found: dict[str, MachineView] = {}
        for machine in machines:
            name = machine.spec.id
            if not is_away(machine):
                continue
            pending = [each for each in self.state.pending if each.concerns(name)]
            for each in pending:
                each.mark_lost(name, stands=machine.view().stands, heard_at=at, at=at)
            if not any(each.of in (None, name) for each in pending):
                found[name] = self._flow.view(machine)
        return found

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
        """Begin the absences of machines that were lost, and go on with that of the line."""
        if not lost and not self.state.pending:
            return
        for name, view in lost.items():
            self._begin_of(self._flow.machines[name], view, output=output, at=moment.at)
        self._begin_line(at=moment.at)
        now = max(moment.at, moment.received)
        self._note_seen_again(machines, at=moment.at, now=now)
        line = self.state.pending_of(LINE_LEVEL)
        if line is None or line.of is None:
            return
        for machine in machines:
            if machine.spec.id in line.views and not line.concerns(machine.spec.id):
                line.add_watched_view(self._flow.view(machine), at=moment.at)
        known = diagnosis.status != "offline" or self._stands_otherwise(line)
        if not known and LINE_LEVEL not in line.scopes:
            before = output.mark_lost(LINE_LEVEL, moment.at)
            assert before is not None, "every line has an OEE"
            line.scopes[LINE_LEVEL], line.open_downtime = before, open_downtime
        if LINE_LEVEL in line.scopes:
            self._await(line, known=known, now=now)

    def _stands_otherwise(self, line: AbsenceRecord) -> bool:
        """Whether the line is known to stand by a machine that is not away."""
        views = self._flow.plc_views
        return any(view.stands and view.decides and name not in line.unheard for name, view in views.items())

    def set_forward(self, by: Millis) -> None:
        """The host's clock was set forward: what begins anew begins after what was skipped."""
        for each in self.state.pending:
            each.start += by
            each.away = {name: at + by for name, at in each.away.items()}
            each.heard = {name: at + by for name, at in each.heard.items()}
            for before in each.scopes.values():
                before.since = None if before.since is None else before.since + by

    def _begin_of(self, machine: Machine, view: MachineView, *, output: Output, at: Millis) -> None:
        name, known = machine.spec.id, self._find_unheard(machine.spec.id)
        if known is not None:
            view = known.last_view(name)
        seen_at = machine.device.state.seen_at
        heard_at = (known and known.absent_since(name)) or (at if seen_at is None else min(seen_at, at))
        record = AbsenceRecord(start=at, views={name: view}, scopes={}, open_downtime=None, of=name, unwatched=False)
        record.away[name] = heard_at
        record.add_unheard(name, stands=machine.view().stands)
        before = output.mark_lost(name, at)
        if before is not None:
            record.scopes[name] = before
        self.state.add(record)
        line = self.state.pending_of(LINE_LEVEL)
        if line is not None and line.of is not None:
            line.mark_lost(name, stands=machine.view().stands, heard_at=heard_at, at=at)

    def _begin_line(self, *, at: Millis) -> None:
        """Begin an absence for the line where a machine that decides is away."""
        if self.state.pending_of(LINE_LEVEL) is not None:
            return
        views = self._flow.plc_views
        away = {each.of: each for each in self.state.pending if each.of is not None and each.unheard}
        if not any(views[name].decides for name in away):
            return
        record = AbsenceRecord(start=at, views=views, scopes={}, open_downtime=None, of=LINE_LEVEL, unwatched=False)
        for name, each in away.items():
            record.views[name], record.away[name] = each.last_view(name), each.away[name]
            record.add_unheard(name, stands=self._flow.machines[name].view().stands)
        self.state.add(record)

    def _find_unheard(self, name: str) -> AbsenceRecord | None:
        """Return the latest absence of a machine that has not been heard since."""
        return next((each for each in reversed(self.state.records) if name in each.unheard), None)

    def _note_seen_again(self, machines: Sequence[Machine], *, at: Millis, now: Millis) -> None:
        """Note machines that are known again by a report that was not used, of bad quality for one."""
        for machine in machines:
            view = self._flow.view(machine)
            for each in self.state.pending:
                if each.of is not None and view.status != "offline" and view.equipment in each.unheard:
                    each.add_report(view, at=at, gapless=False, says_state=True, current_known=True, joins_late=False)
                    self._schedule(each, now, is_late=False)

    def _await(self, line: AbsenceRecord, *, known: bool, now: Millis) -> None:
        """Let the line's be due where it is known without what those that are away may report."""
        if line.unwatched or not line.is_waiting:
            return
        if not known:
            line.due = None
        elif line.due is None:
            line.due = now + BACKLOG_SETTLE_MS


def is_away(machine: Machine) -> bool:
    """Return whether it is lost, and may tell later what it did."""
    trusted = machine.spec.kind == "plc" and machine.spec.clock in TRUSTED_CLOCKS
    return trusted and machine.device.state.offline is not None
