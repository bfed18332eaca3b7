"""One line of the plant: reports and passing time in, events out. Pure: the same input gives the same events."""

from collections.abc import Sequence

from bridge.domain.line.device.admission import (
    affected_machines,
    apply_birth_or_death,
    find_refusal,
    has_gap,
    is_gapless,
    moment_of,
    place_in_sequence,
    record_sign_of_life,
)
from bridge.domain.line.device.device import Device
from bridge.domain.line.device.ineffective import extend_run, is_effective
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.line.timed_line import TimedLine
from bridge.domain.reports import (
    APPLIED,
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    DowntimeReport,
    Effect,
    Moment,
    Outcome,
    Report,
    StateReport,
    quarantined,
)
from bridge.domain.utc_time import Millis


class Line(TimedLine):
    """Applies reports in the order of their arrival; `now` never goes back."""

    def apply(self, report: Report, now: Millis) -> Outcome:
        """Fire every deadline not after `now`, then apply the report; return its outcome."""
        state = self._state
        now = state.last_now = max(state.last_now, now)
        machine = None if report.place.equipment is None else self._equipment.machines.get(report.place.equipment)
        if machine is None and report.place.equipment is not None:
            fired = self.tick(now)
            return Outcome(quarantined("unknown_equipment"), fired, len(fired))
        device = self.devices.line_source if machine is None else machine.device
        if state.shift is None:
            self._start(report.received_at)  # nothing earlier is known, whatever a device's clock shows
        self._fire_until(now)
        run_before = device.state.run
        placement = place_in_sequence(report, device, machine)
        if isinstance(placement, Disposition):
            fired, disposition = self._emitter.drain(), placement
        else:
            dated, clock = device.date_report(
                report, placement, backlog_spans=self._absences.backlog_spans(report.place.equipment, now)
            )
            self._fire_until(dated)  # a device clock ahead moves the line's time ahead
            fired = self._emitter.drain()
            state.at = max(dated, state.at)  # the line's time never goes back
            moment = moment_of(report, device, placement, at=state.at, dated=dated, clock=clock)
            gapless = is_gapless(report, device, placement, run_before=run_before)
            if machine is not None and has_gap(device, placement, run_before=run_before):
                machine.forget_remembered()
            device.learn_clock(report, placement)
            disposition = self._process_report(report, machine, device, moment, gapless=gapless)
        if report.actor is None:
            device.state.ineffective_run = extend_run(device.state.ineffective_run, disposition, now=now, at=state.at)
        self._deadline = self._find_deadline()
        return Outcome(disposition, fired + self._emitter.drain(), len(fired))

    def record_unapplied(self, device: Device, disposition: Disposition, now: Millis) -> None:
        """Record the disposition of a device's message that did not reach the line."""
        if self._state.shift is None:
            self._start(now)  # something on the line is alive
        device.state.ineffective_run = extend_run(device.state.ineffective_run, disposition, now=now, at=self._state.at)
        self._deadline = self._find_deadline()

    # Reports

    def _process_report(
        self, report: Report, machine: Machine | None, device: Device, moment: Moment, *, gapless: bool
    ) -> Disposition:
        affected = affected_machines(report, machine, self._equipment.machines.values())
        refusal = find_refusal(report, machine)
        if machine is not None and refusal is None and gapless and report.body.is_sequenced:
            machine.restore_remembered()
        if machine is not None and refusal is not None and refusal.effect is Effect.QUARANTINED:
            machine.forget_remembered()  # it may have reported another state
        disposition = refusal or self._dispatch(report, machine, affected, moment)
        now = max(self._state.last_now, moment.at)
        if disposition.effect is not Effect.QUARANTINED:  # a quarantined report proves nothing, not even life
            for source in (device, *(reporting.device for reporting in affected)):
                record_sign_of_life(report, source, now=now)
            for reporting in affected if disposition == APPLIED else ():
                self._absences.add_report(report, reporting, moment, now=now, gapless=gapless)
            if report.actor is None and is_effective(disposition):
                device.state.ineffective_run = None
                for reporting in affected if isinstance(report.body, DeathReport) else ():
                    reporting.device.state.ineffective_run = None  # a source's death is that of all its devices
            self._propagate_change(moment, affected)
        device.clear_unreported(self._emitter.event_count)
        return disposition

    def _dispatch(
        self, report: Report, machine: Machine | None, affected: Sequence[Machine], moment: Moment
    ) -> Disposition:
        body = report.body
        match body:
            case BirthReport() | DeathReport():
                return apply_birth_or_death(report, body, affected)
            case StateReport():
                assert machine is not None, "find_refusal quarantines a report without equipment"
                if self._absences.is_superseded(machine.spec.id, moment):
                    return APPLIED  # a newer state is known
                machine.apply_state(body, moment=moment, retained=report.retained)
                return APPLIED
            case CountsReport():
                assert machine is not None, "find_refusal quarantines a report without equipment"
                self._count(body, machine, moment)
                return APPLIED
            case DowntimeReport():
                return self._apply_downtime(body, moment)
            case _:
                return self._operations.apply(
                    body, equipment=report.place.equipment, runs=self._equipment.is_running, moment=moment
                )

    def _count(self, body: CountsReport, machine: Machine, moment: Moment) -> None:
        counted = machine.apply_counts(body, moment=moment)
        pieces = self._output.count(machine.spec.id, counted, moment=moment)
        if pieces is not None:
            self._operations.count_pieces(pieces, runs=self._equipment.is_running, moment=moment)

    def _apply_downtime(self, body: DowntimeReport, moment: Moment) -> Disposition:
        disposition = self.downtimes.apply(body, moment=moment)
        planned = self.downtimes.take_planned_time_change(body.downtime_id) if disposition == APPLIED else None
        if planned is not None:
            self._output.apply_planned_time_change(planned, moment=moment)
        return disposition
