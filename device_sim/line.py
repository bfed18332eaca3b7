"""A simulated line: its flow, its orders, its people and its material, wired together."""

from typing import Final

from device_sim.chance import MINUTE, SECOND, Chance, Millis
from device_sim.controller import Controller
from device_sim.flow import Flow
from device_sim.machine import Condition, Machine
from device_sim.messages import Report
from device_sim.orders import DEMAND, OrderBook
from device_sim.parameter import Inspection, Parameter
from device_sim.people import Crew, Trouble
from device_sim.plant_file import LineSpec

Said = tuple[str, Report]
"""(device id, report)."""

LONG_WAIT: Final = 30 * SECOND  # a line without material for this long is worth a call


class Line:
    def __init__(self, spec: LineSpec, seed: int, now: Millis) -> None:
        self.spec = spec
        chances = {machine.id: Chance(seed, machine.id) for machine in spec.machines}
        self.flow = Flow([Machine(machine, chances[machine.id], now) for machine in spec.machines])
        self.parameters = {
            machine.id: Parameter(machine.parameter, Chance(seed, f"{machine.id}/{machine.parameter.name}"))
            for machine in spec.machines
            if machine.parameter is not None
        }
        self.controllers = {
            machine.spec.id: Controller(
                machine,
                self.parameters.get(machine.spec.id),
                _inspection(machine, seed, now),
                Chance(seed, f"{machine.spec.id}/controller"),
                now,
            )
            for machine in self.flow.machines
        }
        self.orders = OrderBook(spec, Chance(seed, f"{spec.id}/orders"), now)
        self.crew = Crew(spec, Chance(seed, f"{spec.id}/crew"), now)
        self._chance = Chance(seed, f"{spec.id}/material")
        self._shortage_at = now + self._next_shortage()
        self._material_at = now  # there is material from here on

    @property
    def terminal(self) -> str:
        return self.spec.terminal.id

    def tick(self, now: Millis) -> list[Said]:
        """Return what the devices of the line say in the second that ends at `now`."""
        said: list[Said] = []
        before = self.orders.product
        said += [(self.terminal, report) for report in self.orders.tick(now, self.flow.good)]
        if self.orders.product is not None and self.orders.product != before:
            self.flow.change_product(self.orders.product, startup_rejects=before is not None)
        self.flow.tick(now, demand=DEMAND[self.orders.phase], has_material=self._has_material(now))
        for machine in self.flow.machines:
            parameter = self.parameters.get(machine.spec.id)
            if parameter is not None:
                parameter.tick(now, running=machine.condition is Condition.RUNNING)
        for device, controller in self.controllers.items():
            said += [(device, report) for report in controller.reports(now)]
        said += self.crew.tick(now, self._troubles(now))
        return said

    def standing(self, device: str) -> list[Report]:
        """Return what a device of the line says after its birth."""
        if device in self.controllers:
            return self.controllers[device].standing()
        return self.crew.stations[device].standing()

    def _troubles(self, now: Millis) -> list[Trouble]:
        troubles = [
            Trouble(machine.faults[0].call, machine.spec.id, f"{machine.spec.id} stopped")
            for machine in self.flow.machines
            if machine.faults  # also while it is repaired with its power off
        ]
        troubles += [
            Trouble("quality", device, f"{parameter.spec.name} out of limits")
            for device, parameter in self.parameters.items()
            if parameter.is_out
        ]
        head = self.flow.machines[0]
        if head.condition is Condition.STARVED and now - head.since >= LONG_WAIT:
            troubles.append(Trouble("material", head.spec.id, f"{head.spec.id} has no material"))
        return troubles

    def _has_material(self, now: Millis) -> bool:
        if now >= self._shortage_at:
            low, high = self.spec.shortage_minutes
            self._material_at = now + self._chance.span(low * 60, high * 60)
            self._shortage_at = self._material_at + self._next_shortage()
        return now >= self._material_at

    def _next_shortage(self) -> Millis:
        return self._chance.lapse(round(self.spec.mean_minutes_between_shortages * MINUTE))


def _inspection(machine: Machine, seed: int, now: Millis) -> Inspection | None:
    spec = machine.spec.inspection
    return None if spec is None else Inspection(spec, Chance(seed, f"{machine.spec.id}/inspection"), now)
