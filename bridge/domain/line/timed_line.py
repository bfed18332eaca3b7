"""Time of a line: consequences of a change, deadlines, and absences of the bridge.

Deadlines are fixed instants: those not after `now` fire first, in their order, each dated at its own time. So it makes
no difference when, or whether, `tick` is called in between (promise P7). A deadline already overdue when it becomes
known, because another plant file shortened it or a call took over another's deadlines, fires at the line's time, which
never goes back.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Self

from bridge.domain import plant
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Status
from bridge.domain.events import Event
from bridge.domain.line.absence.device_absence import DeviceAbsences
from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.device import Device
from bridge.domain.line.device.registry import Devices
from bridge.domain.line.downtime.rebuild import RebuildableDowntimes
from bridge.domain.line.downtime.stop_tracker import Signal, StopChange, StopChangeKind
from bridge.domain.line.equipment.equipment_group import EquipmentGroup
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.line.equipment.status import Diagnosis, with_no_order_cause
from bridge.domain.line.equipment.status_emitter import StatusEmitter
from bridge.domain.line.line_state import LineState
from bridge.domain.line.operations import Operations
from bridge.domain.line.output.line_output import Output, signal_of
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import Moment
from bridge.domain.shifts import ShiftWindow
from bridge.domain.utc_time import Millis

MAX_ROUNDS: Final = 100  # of deadlines at one instant that fire others at it: stops an endless loop


class TimedLine:
    """The parts of one line, and the passing of time over them; `Line` applies reports."""

    def __init__(self, plant_config: plant.Plant, spec: plant.LineConfig, state: LineState | None = None) -> None:
        self.spec = spec
        self.place = plant_config.place_of(spec)
        self._rules = plant_config.rules_of(spec)
        self._plan = plant_config.shift_plan
        self._state = state = LineState() if state is None else state
        self._emitter = emitter = Emitter(self.place, state.subjects)
        self._equipment = EquipmentGroup(
            state.equipment, spec=spec, rules=self._rules, zone=self._plan.zone, emitter=emitter
        )
        line_source = Device(state.line_source, None, self._plan.zone)
        self.devices = Devices(
            line_source, {name: machine.device for name, machine in self._equipment.machines.items()}
        )
        self._status_emitter = StatusEmitter(state.status_emitter, emitter, None)
        self._operations = Operations(
            state.operations, place=self.place, plant_config=plant_config, spec=spec, emitter=emitter
        )
        self.automatic_calls = self._operations.automatic_calls
        self.downtimes = RebuildableDowntimes(state.downtimes, plant_config=plant_config, spec=spec, emitter=emitter)
        self._absences = DeviceAbsences(state.absences, equipment=self._equipment, plan=self._plan)
        self._output = Output(state.output, plant_config=plant_config, spec=spec, plan=self._plan, emitter=emitter)
        if state.shift is not None:
            self._output.start(state.shift, at=state.at)
        self._deadline = self._find_deadline()

    @classmethod
    def restore(cls, plant_config: plant.Plant, spec: plant.LineConfig, checkpoint: bytes) -> Self:
        """Continue exactly where `checkpoint` was taken; raise msgspec.DecodeError for invalid bytes."""
        return cls(plant_config, spec, LineState.decode(checkpoint))

    def checkpoint(self) -> bytes:
        """Return the whole state; its size is bounded, whatever was reported."""
        return self._state.encode()

    def counter_fits(self) -> dict[str, CounterFit]:
        """Return how counters agree with the plant file, by equipment; only where that was ever in doubt."""
        return self._equipment.counter_fits()

    def next_deadline(self) -> Millis | None:
        """Return the line's next deadline; None before the first report."""
        return self._deadline

    def tick(self, now: Millis) -> tuple[Event, ...]:
        """Fire every deadline not after `now`, in order of time."""
        self._state.last_now = max(self._state.last_now, now)
        self._fire_until(self._state.last_now)
        return self._emitter.drain()

    def emit_plant_changes(self, now: Millis, *, cause: str) -> tuple[Event, ...]:
        """Emit what differs under a plant file that has just changed; nothing for a line without any report yet."""
        state = self._state
        if state.shift is not None:
            state.last_now, state.at = max(now, state.last_now), max(now, state.at)
            self._fire_until(state.at)
            self._propagate_change(Moment(at=state.at, caused_by=(cause,)), list(self._equipment.machines.values()))
            self._deadline = self._find_deadline()
        return self._emitter.drain()

    def apply_action(self, at: Millis, action: Callable[[Moment], object]) -> tuple[Event, ...]:
        """Apply an action of the line's area at an instant; nothing else of the line is due before."""
        self._state.at = max(self._state.at, at)  # a device clock ahead may have moved it ahead
        action(Moment(at=self._state.at))
        self._deadline = self._find_deadline()
        return self._emitter.drain()

    def apply_absence(self, since: Millis, now: Millis, *, cause: str) -> tuple[Event, ...]:
        """Mark every machine unknown from `since` on, until it reports; it is `now`.

        Deadlines before `since` fire as usual. Calls, jobs and shifts stay.
        """
        state = self._state
        state.last_now = max(now, state.last_now)
        if state.shift is None:
            return ()
        at = max(since, state.at)
        self._fire_until(at)
        state.at = at
        self.downtimes.mark_unobserved()
        self._absences.begin(at, self._output.mark_unobserved(at), open_downtime=self.downtimes.open_id)
        self._propagate_change(Moment(at=at, received_at=now, caused_by=(cause,)), self._equipment.mark_unknown(at=at))
        self._deadline = self._find_deadline()
        return self._emitter.drain()

    def set_forward(self, by: Millis, now: Millis) -> tuple[Event, ...]:
        """Treat [now - by, now) as no time at all: the host's clock was set forward, and it is `now`.

        The stretch is unknown, and pending deadlines keep their remaining time.
        """
        state = self._state
        if state.shift is not None:
            at = max(now - by, state.at)
            self._fire_until(at)
            state.at = at
            self._rebuild_unfinished(at)
            self._output.set_forward(by, at=at)
            self._absences.set_forward(by)
            self.downtimes.set_forward(by)
            self._operations.set_forward(by)
            self._equipment.set_forward(by)
            self.devices.line_source.state.set_forward(by)
            self._deadline = self._find_deadline()
        state.last_now = max(now, state.last_now)
        return self._emitter.drain()

    def _start(self, at: Millis) -> None:
        self._state.at = at
        self._state.shift = self._plan.window_at(at)
        self._output.set_ideal_cycle(self._operations.product)
        self._output.start(self._state.shift, at=at)
        self._deadline = self._find_deadline()

    # Consequences of a change

    def _propagate_change(self, moment: Moment, affected: Sequence[Machine]) -> None:
        shift = self._shift
        lost = self._absences.mark_lost(affected, at=moment.at)
        diagnosis = self._equipment.refresh(affected)
        self._operations.observe(diagnosis, self._equipment.product, moment=moment)
        if self._operations.has_no_job:
            diagnosis = with_no_order_cause(diagnosis)
        self._output.set_job(
            self._operations.running_job, self._operations.take_ended_job(), shift=shift, moment=moment
        )
        self._output.set_ideal_cycle(self._operations.product)
        self._absences.update(
            lost, affected, diagnosis, output=self._output, open_downtime=self.downtimes.open_id, moment=moment
        )
        for machine in affected:
            view = self._equipment.view(machine)
            machine.emit_status(view, scheduled=shift.is_scheduled, moment=moment)
            signal = self._time_signal(machine.spec.id, view.status, known_stopped=view.known_stopped)
            self._output.feed(machine.spec.id, signal, moment=moment)
        self._emit_status(diagnosis, moment)
        signal = self._time_signal(LINE_LEVEL, diagnosis.status, known_stopped=diagnosis.known_stopped)
        self._apply_stop_change(self._output.feed(LINE_LEVEL, signal, moment=moment), moment)
        # the current status may change the open downtime at once, whatever the earlier time turns out to be
        signal = signal_of(diagnosis.status, scheduled=shift.is_scheduled, known_stopped=diagnosis.known_stopped)
        if self._absences.may_revise_stop:
            if self.downtimes.open_id is not None:
                return  # the current stop is another one if the open one turns out to have ended
            signal = Signal.LOST if signal is Signal.RUN else signal  # an earlier stop is another one
        self.downtimes.observe(signal, diagnosis, changeover=self._operations.is_changing_over, moment=moment)

    def _time_signal(self, scope: str, status: Status, *, known_stopped: bool) -> Signal:
        """Return what a status means for time; while an absence of this scope is pending, it counts as offline.

        A scope that was stopped when lost counts as stopped until something else is known, also once it is back.
        """
        if self._absences.is_pending(scope):
            known_stopped = known_stopped or (status not in ("running", "offline") and self._output.is_stopped(scope))
            status = "offline"
        return signal_of(status, scheduled=self._shift.is_scheduled, known_stopped=known_stopped)

    def _emit_status(self, diagnosis: Diagnosis, moment: Moment) -> None:
        ineffective = self.devices.line_source.is_ineffective
        if not ineffective and self._state.status_emitter.status_key is None and not self._equipment.has_known_status:
            return
        job = self._operations.running_job
        job_id = None if job is None else job.job_id
        key = self._equipment.status_key(
            diagnosis,
            scheduled=self._shift.is_scheduled,
            product=self._operations.product,
            job_id=job_id,
            ineffective=ineffective,
        )
        self._status_emitter.update(key, self._equipment.speed(), moment=moment)

    def _apply_stop_change(self, change: StopChange | None, moment: Moment) -> None:
        if change is None:
            return
        self.downtimes.apply_stop_change(change, changeover=self._operations.is_changing_over, moment=moment)
        if change.kind is StopChangeKind.ENDED:
            self.automatic_calls.finish_downtime(line_runs=self._equipment.is_running, moment=moment)

    @property
    def _shift(self) -> ShiftWindow:
        assert self._state.shift is not None, "a line has a shift from its first report on"
        return self._state.shift

    # Time

    def _find_deadline(self) -> Millis | None:
        if self._state.shift is None:
            return None
        deadlines = (
            self._state.shift.end,
            self._output.next_deadline(),
            self.downtimes.next_deadline(),
            self._operations.next_deadline(),
            self._status_emitter.next_deadline(),
            self._equipment.next_deadline(),
            self._absences.next_deadline(),
            self.devices.line_source.ineffective_at(),
        )
        return min([at for at in deadlines if at is not None])

    def _fire_until(self, horizon: Millis) -> None:
        rounds = 0
        while self._deadline is not None and self._deadline <= horizon:
            at = self._state.at = max(self._deadline, self._state.at)
            self._fire(Moment(at=at))
            self._deadline = self._find_deadline()
            rounds = rounds + 1 if self._deadline is not None and self._deadline <= at else 0
            assert rounds < MAX_ROUNDS, "a deadline that fired must have moved"

    def _fire(self, moment: Moment) -> None:
        """Fire all that is due by this instant: losses first; updates of production, OEE and speed last."""
        if (due := self._absences.next_deadline()) is not None and due <= moment.at:
            self._rebuild_after_absence(moment)
        silent = self._equipment.mark_offline(moment.at)
        ineffective = self._equipment.mark_ineffective(moment.at)
        line_source_changed = self.devices.line_source.mark_ineffective(moment.at)
        if silent or ineffective or line_source_changed:
            self._propagate_change(moment, [*silent, *(machine for machine in ineffective if machine not in silent)])
        self._apply_stop_change(self._output.fire_stops(moment), moment)
        self.downtimes.fire(moment, partial(self.automatic_calls.request_call, moment=moment))
        if self._shift.end <= moment.at:
            self._change_shift(moment)
        self._output.fire(moment, shift=self._shift, job=self._operations.running_job)
        self._operations.fire(moment)
        self._equipment.fire(moment)
        self._status_emitter.fire(moment)

    def _rebuild_after_absence(self, moment: Moment) -> None:
        operations = self._operations
        end_of_open = self._absences.rebuild_due(
            self._output,
            self.downtimes,
            changeover_since=operations.changeover_since,
            without_job=operations.has_no_job,
            moment=moment,
        )
        if end_of_open is not None:
            self.automatic_calls.finish_downtime(line_runs=end_of_open.end > end_of_open.start, moment=moment)
        self._propagate_change(moment, list(self._equipment.machines.values()))

    def _rebuild_unfinished(self, at: Millis) -> None:
        """Rebuild every absence whose rebuild is outstanding, with the data known at `at`."""
        for record in tuple(self._absences.state.records):  # without those that begin meanwhile
            if record.is_unfinished:
                record.due = at  # one at a time: the rebuild of a machine's absence may cancel a due time of the line's
                self._deadline = self._find_deadline()
                self._fire_until(at)

    def _change_shift(self, moment: Moment) -> None:
        before, after = self._shift, self._plan.window_at(moment.at)
        if not after.is_scheduled:
            self._apply_stop_change(self._output.end_scheduled_time(moment=moment), moment)
        self._output.change_shift(before, after, self._operations.running_job, moment=moment)
        self._state.shift = after
        self._propagate_change(moment, list(self._equipment.machines.values()))
