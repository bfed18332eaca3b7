"""Equipment of a line in flow order, and the line status derived from it."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from bridge.domain import plant
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Status
from bridge.domain.line.counters import machine_counters
from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.device import Device
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.line.equipment.state import EquipmentState
from bridge.domain.line.equipment.status import Diagnosis, diagnose
from bridge.domain.line.equipment.status_emitter import Speed, StatusKey
from bridge.domain.reports import Moment
from bridge.domain.utc_time import Millis


class EquipmentGroup:
    """Machines and stations by id. Views and diagnosis are cached until `refresh`."""

    def __init__(
        self,
        states: dict[str, EquipmentState],
        *,
        spec: plant.LineConfig,
        rules: plant.Rules,
        zone: ZoneInfo,
        emitter: Emitter,
    ) -> None:
        self._spec = spec
        self.machines = {
            config.id: Machine(
                state := states.setdefault(config.id, EquipmentState()),
                spec=config,
                rules=rules,
                device=Device(state.device, config, zone),
                emitter=emitter,
                decides=_is_deciding(config, spec),
            )
            for config in spec.equipment
        }
        self._plcs = [machine for machine in self.machines.values() if machine.spec.kind == "plc"]
        constraint = [machine for machine in self._plcs if machine.spec.id == spec.constraint]
        self._by_product = (*constraint, *reversed(self._plcs))
        self._views = {name: machine.view() for name, machine in self.machines.items()}
        self._diagnosis = self._diagnose()
        self.statuses = self._statuses()
        """Status of each machine and station; replaced when one changes."""

    @property
    def is_running(self) -> bool:
        return self._diagnosis.status == "running"

    @property
    def has_known_status(self) -> bool:
        """Return whether any machine ever emitted a status."""
        return any(machine.state.status_emitter.status_key is not None for machine in self._plcs)

    @property
    def plc_views(self) -> dict[str, MachineView]:
        """The current views of the machines, in flow order, without stations."""
        return {machine.spec.id: self._views[machine.spec.id] for machine in self._plcs}

    @property
    def deciding_machine(self) -> Machine | None:
        """The machine whose status is the line's."""
        return None if self._diagnosis.equipment is None else self.machines[self._diagnosis.equipment]

    @property
    def product(self) -> str | None:
        """The product reported by the constraint, else by the last machine in the flow, where pieces leave the line."""
        for machine in self._by_product:
            if machine.state.product is not None:
                return machine.state.product
        return None

    def status_key(
        self, diagnosis: Diagnosis, *, scheduled: bool, product: str | None, job_id: str | None, ineffective: bool
    ) -> StatusKey:
        """Return the line's status as dashboards see it; `ineffective`: of the source that reports for the line."""
        deciding = self.deciding_machine
        return StatusKey(
            status=diagnosis.status,
            scheduled=scheduled,
            cause=diagnosis.status_cause,
            reason_code=diagnosis.reason_code,
            product=product,
            job_id=job_id,
            stale=deciding is not None and deciding.state.stale,
            estimated=deciding is not None and deciding.is_estimated,
            ineffective=ineffective or (deciding is not None and deciding.device.is_ineffective),
        )

    def speed(self) -> Speed:
        """Return the line's speed, which is its deciding machine's, and the status of each machine."""
        deciding = self.deciding_machine
        return Speed(equipment=self.statuses) if deciding is None else deciding.speed(equipment=self.statuses)

    def counter_fits(self) -> dict[str, CounterFit]:
        """Return how counters agree with the plant file, by equipment; only where that was ever in doubt."""
        fits = {name: machine.counter_fit() for name, machine in self.machines.items()}
        return {name: fit for name, fit in fits.items() if fit is not None}

    def view(self, machine: Machine) -> MachineView:
        return self._views[machine.spec.id]

    def refresh(self, machines: Iterable[Machine]) -> Diagnosis:
        """Update the views of machines that may have changed; return the diagnosis."""
        changed = False
        for machine in machines:
            view = machine.view()
            if view != self._views[machine.spec.id]:
                self._views[machine.spec.id], changed = view, True
        if changed:
            self._diagnosis = self._diagnose()
            self.statuses = self._statuses()
        return self._diagnosis

    def mark_offline(self, at: Millis) -> list[Machine]:
        """Mark machines offline whose silence has reached its limit; return them."""
        silent = [
            machine
            for machine in self.machines.values()
            if (due := machine.silence_deadline()) is not None and due <= at
        ]
        for machine in silent:
            machine.mark_offline()
        return silent

    def mark_unknown(self, *, at: Millis) -> list[Machine]:
        """Mark every machine unknown from `at` on, as the bridge is absent; return them."""
        for machine in self._plcs:
            machine.mark_unknown(at=at)
        return self._plcs

    def set_forward(self, by: Millis) -> None:
        """Shift by a forward jump of the host's clock: the skipped time holds no silence and no pieces."""
        for machine in self.machines.values():
            machine.device.state.set_forward(by)
            machine_counters.set_forward(machine.state.registers, by)

    def mark_ineffective(self, at: Millis) -> list[Machine]:
        """Mark machines ineffective whose minute without effect is over; return them."""
        return [machine for machine in self.machines.values() if machine.device.mark_ineffective(at)]

    def next_deadline(self) -> Millis | None:
        deadlines: list[Millis | None] = []
        for machine in self.machines.values():
            deadlines += (
                machine.silence_deadline(),
                machine.device.ineffective_at(),
                machine.status_emitter.next_deadline(),
            )
        return min([at for at in deadlines if at is not None], default=None)

    def fire(self, moment: Moment) -> None:
        """Emit the delayed speed changes that are due."""
        for machine in self.machines.values():
            machine.status_emitter.fire(moment)

    def _diagnose(self) -> Diagnosis:
        return diagnose([self._views[machine.spec.id] for machine in self._plcs])

    def _statuses(self) -> dict[str, Status]:
        return {name: view.status for name, view in self._views.items()}


def _is_deciding(machine: plant.EquipmentConfig, spec: plant.LineConfig) -> bool:
    if spec.constraint is not None:
        return machine.id == spec.constraint
    return machine.id in spec.critical if spec.critical else machine.kind == "plc"
