"""The equipment of a line in the order of its flow, and what it amounts to."""

from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from bridge.domain import plant
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Status
from bridge.domain.events import Millis
from bridge.domain.line.counters import machine_counters
from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.device import Device
from bridge.domain.line.downtime.stop_cause import MachineView
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.line.equipment.state import EquipmentState
from bridge.domain.line.equipment.status import Diagnosis, diagnose
from bridge.domain.line.equipment.status_emitter import Speed, StatusKey
from bridge.domain.reports import Moment


class EquipmentGroup:
    """Machines and stations by id. Views and diagnosis are kept until `refresh` is told what may have changed."""

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
            each.id: Machine(
                state := states.setdefault(each.id, EquipmentState()),
                spec=each,
                rules=rules,
                device=Device(state.device, each, zone),
                emitter=emitter,
                decides=_decides(each, spec),
            )
            for each in spec.equipment
        }
        self._plcs = [machine for machine in self.machines.values() if machine.spec.kind == "plc"]
        self._views = {name: machine.view() for name, machine in self.machines.items()}
        self._diagnosis = self._diagnose()

    @property
    def is_running(self) -> bool:
        return self._diagnosis.status == "running"

    @property
    def has_known_status(self) -> bool:
        """Say whether any machine ever had a status to tell."""
        return any(machine.state.shown.face is not None for machine in self._plcs)

    @property
    def statuses(self) -> Mapping[str, Status]:
        return {name: view.status for name, view in self._views.items()}

    @property
    def plc_views(self) -> dict[str, MachineView]:
        """The machines as they are seen now, in the order of the flow; no stations."""
        return {machine.spec.id: self._views[machine.spec.id] for machine in self._plcs}

    @property
    def deciding_machine(self) -> Machine | None:
        """The machine whose status is the line's."""
        return None if self._diagnosis.equipment is None else self.machines[self._diagnosis.equipment]

    @property
    def product(self) -> str | None:
        """What the constraint says it makes, else the last machine of the flow that says it: there pieces come out."""
        constraint = [machine for machine in self._plcs if machine.spec.id == self._spec.constraint]
        said = (machine.state.product for machine in (*constraint, *reversed(self._plcs)))
        return next((product for product in said if product is not None), None)

    def status_key(
        self, diagnosis: Diagnosis, *, scheduled: bool, product: str | None, job_id: str | None, ineffective: bool
    ) -> StatusKey:
        """Return what a dashboard sees of the line's status; `ineffective`: of the source that speaks for the line."""
        decider = self.deciding_machine
        face = StatusKey(
            status=diagnosis.status,
            scheduled=scheduled,
            cause=diagnosis.status_cause,
            reason_code=diagnosis.reason_code,
            product=product,
            job_id=job_id,
            ineffective=ineffective,
        )
        if decider is None:
            return face
        state = decider.state
        return replace(
            face,
            stale=state.stale,
            estimated=(state.said is not None and state.said.estimated) or state.unwatched_since is not None,
            ineffective=ineffective or decider.device.is_ineffective,
        )

    def speed(self) -> Speed:
        """Return the line's speed, that of its decider, and the status of each machine."""
        speed = Speed() if self.deciding_machine is None else self.deciding_machine.speed()
        return replace(speed, equipment=dict(self.statuses))

    def counter_fits(self) -> dict[str, CounterFit]:
        """Return by equipment how its counters agree with the plant file, where that was ever in doubt."""
        fits = {name: machine.counter_fit() for name, machine in self.machines.items()}
        return {name: fit for name, fit in fits.items() if fit is not None}

    def view(self, machine: Machine) -> MachineView:
        return self._views[machine.spec.id]

    def refresh(self, machines: Iterable[Machine]) -> Diagnosis:
        """Look again at machines that may have changed."""
        changed = False
        for machine in machines:
            view = machine.view()
            changed = changed or view != self._views[machine.spec.id]
            self._views[machine.spec.id] = view
        if changed:
            self._diagnosis = self._diagnose()
        return self._diagnosis

    def mark_offline(self, at: Millis) -> list[Machine]:
        """Take for offline all that has been silent for its limit now."""
        silent = [each for each in self.machines.values() if (due := each.silence_deadline()) is not None and due <= at]
        for machine in silent:
            machine.mark_offline()
        return silent

    def mark_unknown(self, *, at: Millis) -> list[Machine]:
        """Take every machine for unknown from now on: nobody watches."""
        for machine in self._plcs:
            machine.mark_unknown(at=at)
        return self._plcs

    def set_forward(self, by: Millis) -> None:
        """The host's clock was set forward: nobody was silent meanwhile, and nothing was made."""
        for machine in self.machines.values():
            machine.device.state.set_forward(by)
            machine_counters.set_forward(machine.state.registers, by)

    def mark_ineffective(self, at: Millis) -> list[Machine]:
        """Call ineffective what has been without effect for its minute now."""
        return [machine for machine in self.machines.values() if machine.device.mark_ineffective(at)]

    def next_deadline(self) -> Millis | None:
        found = (
            at
            for each in self.machines.values()
            for at in (each.silence_deadline(), each.device.ineffective_at(), each.status_emitter.next_deadline())
            if at is not None
        )
        return min(found, default=None)

    def fire(self, moment: Moment) -> None:
        """Show the speeds that have waited."""
        for machine in self.machines.values():
            machine.status_emitter.fire(moment)

    def _diagnose(self) -> Diagnosis:
        return diagnose([self._views[machine.spec.id] for machine in self._plcs])


def _decides(machine: plant.EquipmentConfig, spec: plant.LineConfig) -> bool:
    if spec.constraint is not None:
        return machine.id == spec.constraint
    return machine.id in spec.critical if spec.critical else machine.kind == "plc"
