"""The equipment of a line in the order of its flow, and what it amounts to."""

from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from bridge.core import plant
from bridge.core.emitter import Emitter
from bridge.core.event_data import Status
from bridge.core.events import Millis
from bridge.core.line.device import Device
from bridge.core.line.equipment import EquipmentState, Machine
from bridge.core.line.status import Diagnosis, MachineView, diagnose
from bridge.core.reports import Moment


class Flow:
    """Machines and stations by id. Views and diagnosis are kept until `refresh` is told what may have changed."""

    def __init__(
        self,
        states: dict[str, EquipmentState],
        *,
        spec: plant.Line,
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
    def diagnosis(self) -> Diagnosis:
        return self._diagnosis

    @property
    def known(self) -> bool:
        """Say whether any machine ever had a status to tell."""
        return any(machine.state.shown.face is not None for machine in self._plcs)

    @property
    def statuses(self) -> Mapping[str, Status]:
        return {name: view.status for name, view in self._views.items()}

    @property
    def decider(self) -> Machine | None:
        """The machine whose status is the line's."""
        return None if self._diagnosis.equipment is None else self.machines[self._diagnosis.equipment]

    @property
    def product(self) -> str | None:
        """What the constraint says it makes, else the last machine of the flow that says it: there pieces come out."""
        constraint = [machine for machine in self._plcs if machine.spec.id == self._spec.constraint]
        said = (machine.state.product for machine in (*constraint, *reversed(self._plcs)))
        return next((product for product in said if product is not None), None)

    def view(self, machine: Machine) -> MachineView:
        return self._views[machine.spec.id]

    def refresh(self, touched: Iterable[Machine]) -> Diagnosis:
        """Look again at machines that may have changed."""
        changed = False
        for machine in touched:
            view = machine.view()
            changed = changed or view != self._views[machine.spec.id]
            self._views[machine.spec.id] = view
        if changed:
            self._diagnosis = self._diagnose()
        return self._diagnosis

    def silence(self, at: Millis) -> list[Machine]:
        """Take for offline all that has been silent for its limit now."""
        silent = [machine for machine in self.machines.values() if machine.silent_at() == at]
        for machine in silent:
            machine.fall_silent()
        return silent

    def next_deadline(self) -> Millis | None:
        found = [at for each in self.machines.values() if (at := each.silent_at()) is not None]
        found += [at for each in self.machines.values() if (at := each.shown.next_deadline()) is not None]
        return min(found, default=None)

    def fire(self, moment: Moment) -> None:
        """Show the speeds that have waited."""
        for machine in self.machines.values():
            machine.shown.fire(moment)

    def _diagnose(self) -> Diagnosis:
        return diagnose([self._views[machine.spec.id] for machine in self._plcs])


def _decides(machine: plant.Equipment, spec: plant.Line) -> bool:
    if spec.constraint is not None:
        return machine.id == spec.constraint
    return machine.id in spec.critical if spec.critical else machine.kind == "plc"
