"""One line of the plant: reports and the passing of time in, events out. Pure; the same input gives the same events.

Deadlines are fixed instants: those not after `now` fire first, in their order, each dated at its own time. So it makes
no difference when, or whether, `tick` is called in between (promise P7).
"""

from collections.abc import Callable, Sequence
from typing import Final, Self

from bridge.core import plant
from bridge.core.emitter import Emitter
from bridge.core.events import LINE_LEVEL, Event, Millis
from bridge.core.line.admission import announce, moment_of, note_life, place_in_sequence, refuse, spoken_for
from bridge.core.line.counting import CounterFit
from bridge.core.line.device import Device
from bridge.core.line.devices import Devices
from bridge.core.line.downtime import Downtimes
from bridge.core.line.equipment import Machine
from bridge.core.line.flow import Flow
from bridge.core.line.futility import is_effective
from bridge.core.line.line_state import LineState
from bridge.core.line.output import Output, signal_of
from bridge.core.line.people import People
from bridge.core.line.shown import Shown
from bridge.core.line.status import Diagnosis, without_order
from bridge.core.line.stops import Change, Signal, StopChange
from bridge.core.reports import (
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
from bridge.core.shifts import ShiftWindow

MAX_ROUNDS: Final = 100  # of deadlines at one instant, which fire others at it: stops an endless loop


class Line:
    """Applies reports in the order of their arrival; `now` never goes back."""

    def __init__(self, plant_file: plant.Plant, spec: plant.Line, state: LineState | None = None) -> None:
        self.spec = spec
        self.place = plant_file.place_of(spec)
        self._rules = plant_file.rules_of(spec)
        self._plan = plant_file.shift_plan
        self._state = state = LineState() if state is None else state
        self._emitter = emitter = Emitter(self.place, state.subjects)
        self._flow = Flow(state.equipment, spec=spec, rules=self._rules, zone=self._plan.zone, emitter=emitter)
        talker = Device(state.talker, None, self._plan.zone)
        self.devices = Devices(talker, {name: each.device for name, each in self._flow.machines.items()})
        self._shown = Shown(state.shown, emitter, None)
        self._people = People(state.people, place=self.place, plant_file=plant_file, spec=spec, emitter=emitter)
        self.automatic_calls = self._people.automatic_calls
        self.downtimes = Downtimes(state.downtimes, reasons=plant_file, spec=spec, emitter=emitter)
        self._output = Output(state.output, plant_file=plant_file, spec=spec, plan=self._plan, emitter=emitter)
        if state.shift is not None:
            self._output.open(state.shift, at=state.at)
        self._deadline = self._find_deadline()

    @classmethod
    def restore(cls, plant_file: plant.Plant, spec: plant.Line, checkpoint: bytes) -> Self:
        """Continue exactly where `checkpoint` was taken; msgspec.ValidationError for bytes that are none."""
        return cls(plant_file, spec, LineState.decode(checkpoint))

    def checkpoint(self) -> bytes:
        """Return the whole state; bounded, whatever was reported."""
        return self._state.encode()

    def counter_fits(self) -> dict[str, CounterFit]:
        """Return by equipment how its counters agree with the plant file, where that was ever in doubt."""
        return self._flow.counter_fits()

    def next_deadline(self) -> Millis | None:
        """Return when the line next has something to do by itself; None before the first report."""
        return self._deadline

    def tick(self, now: Millis) -> tuple[Event, ...]:
        """Fire every deadline not after `now`, in order of time."""
        self._state.last_now = max(self._state.last_now, now)
        self._fire_until(self._state.last_now)
        return self._emitter.drain()

    def apply(self, report: Report, now: Millis) -> Outcome:
        """Fire every deadline not after `now`, then apply the report; the outcome says what became of it."""
        state = self._state
        now = state.last_now = max(state.last_now, now)
        machine = None if report.place.equipment is None else self._flow.machines.get(report.place.equipment)
        if machine is None and report.place.equipment is not None:
            fired = self.tick(now)
            return Outcome(quarantined("unknown_equipment"), fired, len(fired))
        device = self.devices.talker if machine is None else machine.device
        if state.shift is None:
            self._open(report.received_at)  # nothing is known of before, whatever a device's clock says
        self._fire_until(now)
        placed = place_in_sequence(report, device, machine)
        if isinstance(placed, Disposition):
            fired, disposition = self._emitter.drain(), placed
        else:
            dated, clock = device.date(report, placed)
            self._fire_until(dated)  # a clock that is ahead takes the line along
            fired = self._emitter.drain()
            state.at = max(dated, state.at)  # the line's time never goes back
            moment = moment_of(report, device, placed, at=state.at, dated=dated, clock=clock)
            disposition = self._admit(report, machine, device, moment)
        if report.actor is None:
            self.devices.note(device, disposition, now=now, at=state.at)
        self._deadline = self._find_deadline()
        return Outcome(disposition, fired + self._emitter.drain(), len(fired))

    def overlook(self, device: Device, disposition: Disposition, now: Millis) -> None:
        """Note a message of a device that was decided before it could reach the line."""
        if self._state.shift is None:
            self._open(now)  # something on the line is alive
        self.devices.note(device, disposition, now=now, at=self._state.at)
        self._deadline = self._find_deadline()

    def settle(self, now: Millis, *, cause: str) -> tuple[Event, ...]:
        """Tell what is different under a plant file that has just changed; of a line never heard of, nothing."""
        state = self._state
        if state.shift is not None:
            self._fire_until(max(now, state.at))
            state.last_now, state.at = max(now, state.last_now), max(now, state.at)
            self._settle(Moment(at=state.at, caused_by=(cause,)), list(self._flow.machines.values()))
            self._deadline = self._find_deadline()
        return self._emitter.drain()

    def step(self, at: Millis, act: Callable[[Moment], object]) -> tuple[Event, ...]:
        """Let its area act on it at an instant; nothing else of the line is due before."""
        self._state.at = max(self._state.at, at)  # a device that is ahead has taken the line along
        act(Moment(at=self._state.at))
        self._deadline = self._find_deadline()
        return self._emitter.drain()

    def absent(self, since: Millis, now: Millis, *, cause: str) -> tuple[Event, ...]:
        """Take every machine for unknown from `since` on, and until it reports; it is `now`.

        What was due before `since` is done as if nothing had happened. What people did stays: calls, jobs, shifts.
        """
        state = self._state
        state.last_now = max(now, state.last_now)
        if state.shift is None:
            return ()
        at = max(since, state.at)
        self._fire_until(at)
        state.at = at
        self._settle(Moment(at=at, received_at=now, caused_by=(cause,)), self._flow.lose_sight(at=at))
        self._deadline = self._find_deadline()
        return self._emitter.drain()

    def _open(self, at: Millis) -> None:
        self._state.at = at
        self._state.shift = self._plan.window_at(at)
        self._output.rate(self._people.product)
        self._output.open(self._state.shift, at=at)
        self._deadline = self._find_deadline()

    # Reports

    def _admit(self, report: Report, machine: Machine | None, device: Device, moment: Moment) -> Disposition:
        device.learn(report)
        touched = spoken_for(report, machine, self._flow.machines.values())
        disposition = refuse(report, machine) or self._dispatch(report, machine, touched, moment)
        if disposition.effect is not Effect.QUARANTINED:  # what is not understood says nothing, not even that it lives
            for each in (device, *(each.device for each in touched)):
                note_life(report, each, now=max(self._state.last_now, moment.at))
            if report.actor is None and is_effective(disposition):
                device.state.futile = None
            self._settle(moment, touched)
        device.tell(self._emitter.count)
        return disposition

    def _dispatch(
        self, report: Report, machine: Machine | None, touched: Sequence[Machine], moment: Moment
    ) -> Disposition:
        body = report.body
        match body:
            case BirthReport() | DeathReport():
                return announce(report, body, touched)
            case StateReport():
                assert machine is not None, "refused before"
                return machine.apply_state(body, moment=moment, retained=report.retained)
            case CountsReport():
                assert machine is not None, "refused before"
                self._count(body, machine, moment)
                return APPLIED
            case DowntimeReport():
                return self._judge_downtime(body, moment)
            case _:
                return self._people.apply(body, equipment=report.place.equipment, runs=self._flow.runs, moment=moment)

    def _count(self, body: CountsReport, machine: Machine, moment: Moment) -> None:
        counted = machine.apply_counts(body, moment=moment)
        pieces = self._output.count(machine.spec.id, counted, moment=moment)
        if pieces is not None:
            self._people.pieces(pieces, runs=self._flow.runs, moment=moment)

    def _judge_downtime(self, body: DowntimeReport, moment: Moment) -> Disposition:
        disposition = self.downtimes.apply(body, moment=moment)
        planned = self.downtimes.to_exclude(body.downtime_id) if disposition == APPLIED else None
        if planned is not None:
            self._output.exclude(*planned, moment=moment)
        return disposition

    # What follows from a change, whatever made it

    def _settle(self, moment: Moment, touched: Sequence[Machine]) -> None:
        shift = self._shift
        seen = self._flow.refresh(touched)
        self._people.hear_status(seen.status, stands=seen.stands, at=moment.at)
        self._people.hear_product(self._flow.product, runs=seen.status == "running", moment=moment)
        if self._people.without_order:
            seen = without_order(seen)
        order = self._people.order
        self._output.job(order, self._people.take_ended_order(), shift=shift, moment=moment)
        self._output.rate(self._people.product)
        for machine in touched:
            machine.show(scheduled=shift.scheduled, moment=moment)
            self._output.feed(machine.spec.id, self._signal(machine), moment=moment)
        self._show(seen, moment)
        signal = signal_of(seen.status, scheduled=shift.scheduled, stands=seen.stands)
        self._learn(self._output.feed(LINE_LEVEL, signal, moment=moment), moment)
        self.downtimes.observe(signal, seen, changeover=self._people.changing_over, moment=moment)

    def _signal(self, machine: Machine) -> Signal:
        view = self._flow.view(machine)
        return signal_of(view.status, scheduled=self._shift.scheduled, stands=view.stands)

    def _show(self, seen: Diagnosis, moment: Moment) -> None:
        if not self._flow.known:
            return
        order = self._people.order
        job_id = None if order is None else order.job_id
        face = self._flow.face(seen, scheduled=self._shift.scheduled, product=self._people.product, job_id=job_id)
        self._shown.show(face, self._flow.speed(), moment=moment)

    def _learn(self, change: StopChange | None, moment: Moment) -> None:
        if change is None:
            return
        self.downtimes.learn(change, changeover=self._people.changing_over, moment=moment)
        if change.change is Change.ENDED:
            self.automatic_calls.stop_over(runs=self._flow.runs, moment=moment)

    @property
    def _shift(self) -> ShiftWindow:
        assert self._state.shift is not None, "a line is opened by its first report, before anything settles"
        return self._state.shift

    # Time

    def _find_deadline(self) -> Millis | None:
        if self._state.shift is None:
            return None
        parts = (self._output, self.downtimes, self._people, self._shown, self._flow)
        found = [self._state.shift.end, *(part.next_deadline() for part in parts), self.devices.talker.futile_at()]
        return min(at for at in found if at is not None)

    def _fire_until(self, horizon: Millis) -> None:
        again = 0
        while self._deadline is not None and self._deadline <= horizon:
            due = self._deadline
            self._fire(Moment(at=due))
            self._state.at = max(self._state.at, due)
            self._deadline = self._find_deadline()
            again = again + 1 if self._deadline == due else 0
            assert again < MAX_ROUNDS, "what is due is done once: firing it again and again is our fault"

    def _fire(self, moment: Moment) -> None:
        """Do all that is due at exactly this instant: what was lost first, what is told of it last."""
        silent = self._flow.silence(moment.at)
        ineffective = self._flow.fire_futility(moment.at)
        self.devices.talker.fire_futility(moment.at)
        if silent or ineffective:
            self._settle(moment, [*silent, *(each for each in ineffective if each not in silent)])
        self._learn(self._output.fire_stops(moment), moment)
        help_ = self.downtimes.fire(moment)
        if help_ is not None:
            self.automatic_calls.call(help_, moment=moment)
        if self._shift.end == moment.at:
            self._turn_shift(moment)
        self._output.fire(moment, shift=self._shift, order=self._people.order)
        self._people.fire(moment)
        self._flow.fire(moment)
        self._shown.fire(moment)

    def _turn_shift(self, moment: Moment) -> None:
        before, after = self._shift, self._plan.window_at(moment.at)
        if not after.scheduled:
            self._learn(self._output.leave_schedule(moment=moment), moment)
        self._output.turn_shift(before, after, self._people.order, moment=moment)
        self._state.shift = after
        self._settle(moment, list(self._flow.machines.values()))
