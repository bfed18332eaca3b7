"""One machine or station: its reported state, faults and counters, and the resulting status."""

from typing import Final

from msgspec import msgpack

from bridge.domain import plant
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Status, StatusCause
from bridge.domain.line.counters import machine_counters
from bridge.domain.line.counters.machine_counters import CountedPieces, CounterFit
from bridge.domain.line.device.device import Device
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.equipment import packml
from bridge.domain.line.equipment.faults import Faults, UnreadableFaultBits, parse_fault_bits, update_faults
from bridge.domain.line.equipment.state import EquipmentState, RememberedState, ReportedState
from bridge.domain.line.equipment.status import STATUS_OF_WORD, MachineSignals, derive_status
from bridge.domain.line.equipment.status_emitter import Speed, StatusEmitter, StatusKey
from bridge.domain.reports import (
    APPLIED,
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    Moment,
    StateReport,
    quarantined,
)
from bridge.domain.utc_time import Millis

MIN_UNQUEUED_GAP_MS: Final = 2_000  # reports that follow each other within this time may have waited in a queue
MAX_DOUBTFUL_PIECES: Final = 2**53  # of pieces in doubt: every JSON reader reads it exactly, and it fits a checkpoint


class Machine:
    """Applies a device's own reports to its state. Its line reads `status` and `view`, and calls `emit_status`."""

    def __init__(
        self,
        state: EquipmentState,
        *,
        spec: plant.EquipmentConfig,
        rules: plant.Rules,
        device: Device,
        emitter: Emitter,
        decides: bool,
    ) -> None:
        self.state = state
        self.spec = spec
        self.device = device
        self.status_emitter = StatusEmitter(state.status_emitter, emitter, spec.id)
        self.decides = decides
        self._rules = rules
        self._limits = machine_counters.limits_of(spec, rules, modulus=None)

    def validate_state(self, body: StateReport) -> Disposition | None:
        """Return why a state report cannot be understood, or None if it may be applied."""
        meaning = self._interpret_state(body)
        if isinstance(meaning, Disposition):
            return meaning
        try:
            parse_fault_bits(body.fault_bits)
        except UnreadableFaultBits:
            return quarantined("unreadable_fault_bits")
        return None

    def apply_state(self, body: StateReport, *, moment: Moment, retained: bool) -> None:
        meaning = self._interpret_state(body)
        assert not isinstance(meaning, Disposition), "validate_state was called before"
        update_faults(self.state.faults, body, self.spec.faults, at=moment.happened_at)
        self.state.reported = ReportedState(
            status=meaning[0],
            cause=meaning[1],
            speed=body.speed,
            speed_setpoint=body.speed_setpoint,
            planned_stop=body.planned_stop,
            upstream_stop=body.upstream_stop,
            downstream_stop=body.downstream_stop,
            reason_code=body.reason_code,
            estimated=retained or body.source_quality == "uncertain",
        )
        self.state.product = body.product or self.state.product
        self.state.stale = False
        self._mark_known()

    def _interpret_state(self, body: StateReport) -> tuple[Status, StatusCause | None] | Disposition:
        if body.packml is None:
            if body.state is None:
                return quarantined("no_state")
            return STATUS_OF_WORD.get(body.state.strip().lower()) or quarantined("unknown_state")
        dialect = body.packml.dialect
        if self.spec.packml_dialect not in (None, dialect):
            return quarantined("other_packml_dialect")
        state = packml.state_name(dialect, body.packml.state)
        if state is None:
            return quarantined("unknown_packml_state")
        return packml.status_meaning(state, packml.mode_of(body.packml.mode, self.spec.packml_modes))

    def copy(self) -> "Machine":
        """Return a machine with a copy of the state, for applying a report that is not current."""
        state = msgpack.decode(msgpack.encode(self.state), type=EquipmentState)
        return Machine(
            state,
            spec=self.spec,
            rules=self._rules,
            device=self.device,
            emitter=self.status_emitter.emitter,
            decides=self.decides,
        )

    def apply_counts(self, body: CountsReport, *, moment: Moment) -> CountedPieces:
        """Judge each counter by the counter table; pieces made while the state was unknown prove that it runs."""
        limits = self._limits
        if body.modulus is not None:
            limits = machine_counters.limits_of(self.spec, self._rules, modulus=body.modulus)
        first_report_at = self._first_report_since_loss(moment)
        counted = machine_counters.apply_counts(self.state.registers, body, limits=limits, moment=moment)
        doubtful = counted.doubtful_pieces(counted.doubtful)
        self.state.pieces_released = min(self.state.pieces_released + doubtful.released, MAX_DOUBTFUL_PIECES)
        self.state.pieces_refused = min(self.state.pieces_refused + doubtful.refused, MAX_DOUBTFUL_PIECES)
        if self._is_proof_of_running(counted, first_report_at) and any(delta > 0 for delta in counted.deltas.values()):
            self.state.reported = ReportedState(status="running", cause=None, estimated=True)
            self._mark_known()
        self.state.stale = False
        return counted

    def _is_proof_of_running(self, counted: CountedPieces, first_report_at: Millis | None) -> bool:
        """Return whether pieces prove that an offline machine runs: not if they may have been made in an absence.

        A queue emptied after an absence holds pieces from the absence, and so may the first report behind it.
        """
        if not self.is_offline or counted.hidden_until is not None:  # hidden since before it was lost
            return False
        if self.state.unobserved_since is None:
            return True
        return first_report_at is not None and counted.since >= first_report_at

    def _first_report_since_loss(self, moment: Moment) -> Millis | None:
        """Return when an earlier report arrived that was surely not made in the absence; if none did, judge this one.

        A queue empties at once: a report that arrives long enough after the one before it did not wait there.
        """
        state, last_seen_at = self.state, self.state.device.last_seen_at
        lost_at, first_report_at = state.unobserved_since, state.first_report_at
        if lost_at is None or last_seen_at is None:
            return None
        if first_report_at is not None and first_report_at >= lost_at:
            return first_report_at
        received = moment.received
        if last_seen_at >= lost_at and received - last_seen_at >= MIN_UNQUEUED_GAP_MS:
            state.first_report_at = received
        return None

    def counter_fit(self) -> CounterFit | None:
        """Return how its counters agree with the plant file; None if that was never in doubt."""
        state = self.state
        released, refused = state.pieces_released, state.pieces_refused
        registers = state.registers.values()
        if not (released or refused or any(register.suspect or register.refuted_limit for register in registers)):
            return None
        rate = self.spec.counters.max_rate_per_minute
        return machine_counters.measure_fit(state.registers, max_rate=rate, released=released, refused=refused)

    def mark_unknown(self, *, at: Millis) -> None:
        """Mark the state unknown from `at` on, as the bridge was absent, until the machine reports it again."""
        state = self.state
        if state.unobserved_since is None:
            state.remembered = RememberedState(state.reported, state.faults)
        state.lost_while_faulty = self.view().broken
        state.reported, state.faults, state.lost_while_stopped = None, Faults(), False
        state.unobserved_since = at

    def restore_remembered(self) -> None:
        """Restore the state from before the bridge's absence: no report is missing since, so it still holds."""
        state, remembered = self.state, self.state.remembered
        if state.unobserved_since is None or remembered is None or state.reported is not None:
            return
        state.reported, state.faults = remembered.reported, remembered.faults
        if state.reported is not None:
            self._mark_known()

    def forget_remembered(self) -> None:
        """Forget the state from before the bridge's absence: reports are missing since, so it may be over."""
        self.state.remembered = None

    def _mark_known(self) -> None:
        self.state.unobserved_since = self.state.remembered = None
        self.state.lost_while_stopped = False

    def apply_birth_or_death(self, body: BirthReport | DeathReport) -> Disposition:
        """Apply a birth or a death: the reported state no longer holds, except that the machine is stopped."""
        self._remember_stop()
        self.state.reported = self.state.remembered = None
        self.state.faults.active.clear()
        if isinstance(body, DeathReport):
            machine_counters.mark_registers_interrupted(self.state.registers)
            self.state.device.offline = "death"
        else:
            machine_counters.mark_registers_restarted(self.state.registers)
        return APPLIED

    @property
    def is_offline(self) -> bool:
        """Return whether its state is unknown; a station's only state is its presence."""
        reported, device = self.state.reported, self.state.device
        if device.offline is not None:
            return True
        return reported is None and (self.spec.kind != "station" or device.last_seen_at is None)

    @property
    def is_estimated(self) -> bool:
        reported = self.state.reported
        return self.state.unobserved_since is not None or (reported is not None and reported.estimated)

    @property
    def status(self) -> tuple[Status, StatusCause | None]:
        reported = self.state.reported
        if self.is_offline:
            return "offline", None
        if reported is None:
            return "idle", None
        signals = MachineSignals(
            word=reported.status,
            word_cause=reported.cause,
            speed=reported.speed,
            rated_speed=self.spec.rated_speed,
            running_speed_ratio=self._rules.running_speed_ratio,
            planned_stop=reported.planned_stop,
            upstream_stop=reported.upstream_stop,
            downstream_stop=reported.downstream_stop,
        )
        return derive_status(signals, self.state.faults)

    def _remember_stop(self) -> None:
        """Remember whether it was stopped before it is lost: a repair with the power off is still a stop."""
        status = self.status[0]
        if status != "offline":
            self.state.lost_while_stopped = status != "running" and self.spec.kind == "plc"
            self.state.lost_while_faulty = self.view().broken

    def view(self) -> MachineView:
        (status, cause), faults = self.status, self.state.faults
        fails = status == "fault" or cause == "internal" or faults.first_out_fault is not None
        return MachineView(
            equipment=self.spec.id,
            status=status,
            cause=cause,
            reason_code=None if self.state.reported is None else self.state.reported.reason_code,
            faults=() if status == "offline" else tuple(fault.to_fault_note() for fault in faults.active),
            decides=self.decides,
            broken=self.state.lost_while_faulty if status == "offline" else fails,
            known_stopped=status == "offline" and self.state.lost_while_stopped,
        )

    def speed(self, *, equipment: dict[str, Status] | None = None) -> Speed:
        """Return its speed; `equipment`: the status of each machine, where it is the line's."""
        reported = self.state.reported
        if reported is None:
            return Speed(equipment=equipment)
        return Speed(
            speed=reported.speed,
            target_speed=self.spec.rated_speed if reported.speed_setpoint is None else reported.speed_setpoint,
            unit=self.spec.speed_unit,
            equipment=equipment,
        )

    def emit_status(self, view: MachineView, *, scheduled: bool, moment: Moment) -> None:
        """Emit this machine's status, as in its current view, if it changed; one that never reported has none."""
        never_reported = (
            self.state.device.last_seen_at is None and self.state.reported is None and not self.device.is_ineffective
        )
        if never_reported and self.state.status_emitter.status_key is None:
            return
        key = StatusKey(
            status=view.status,
            scheduled=scheduled,
            cause=view.cause,
            reason_code=view.reason_code,
            product=self.state.product,
            stale=self.state.stale,
            estimated=self.is_estimated,
            ineffective=self.device.is_ineffective,
        )
        self.status_emitter.update(key, self.speed(), moment=moment)

    def silence_deadline(self) -> Millis | None:
        """Return when silence will mean offline; None if no limit is set or it is offline already."""
        device, limit = self.state.device, self.spec.heartbeat_seconds
        if limit is None or device.last_seen_at is None or device.offline is not None:
            return None
        return device.last_seen_at + round(limit * 1000)

    def mark_offline(self) -> None:
        """Mark it offline for silence; its last state holds again as soon as it reports anything."""
        self._remember_stop()
        self.state.device.offline = "silence"
        machine_counters.mark_registers_interrupted(self.state.registers)
