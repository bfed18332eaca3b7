"""A simulated line: its material flow, orders, people and shortages, wired together."""

from typing import Final

from device_sim.plant.controller import Controller
from device_sim.plant.machine import Condition, SimulatedMachine
from device_sim.plant.material_flow import MaterialFlow
from device_sim.plant.orders import DEMAND, OrderBook
from device_sim.plant.people import CallCause, Crew
from device_sim.plant.quality import InspectionSampler, MeasuredParameter
from device_sim.plant_file import LineSpec
from device_sim.reports import DeviceReport, ReportContent
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import MINUTE, SECOND, Millis

LONG_WAIT: Final = 30 * SECOND  # without material for this long, people raise a call


class SimulatedLine:
    """Advances machines, orders and people of one line, and returns their reports."""

    def __init__(self, spec: LineSpec, seed: int, now: Millis) -> None:
        self.spec = spec
        rngs = {machine.id: SeededRandom(seed, machine.id) for machine in spec.machines}
        self.flow = MaterialFlow([SimulatedMachine(machine, rngs[machine.id], now) for machine in spec.machines])
        self.parameters = {
            machine.id: MeasuredParameter(
                machine.parameter, SeededRandom(seed, f"{machine.id}/{machine.parameter.name}")
            )
            for machine in spec.machines
            if machine.parameter is not None
        }
        self.controllers = {
            machine.spec.id: Controller(
                machine,
                self.parameters.get(machine.spec.id),
                _inspection(machine, seed, now),
                SeededRandom(seed, f"{machine.spec.id}/controller"),
                now,
            )
            for machine in self.flow.machines
        }
        self.orders = OrderBook(spec, SeededRandom(seed, f"{spec.id}/orders"), now)
        self.crew = Crew(spec, SeededRandom(seed, f"{spec.id}/crew"), now)
        self._rng = SeededRandom(seed, f"{spec.id}/material")
        self._shortage_at = now + self._next_shortage()
        self._material_at = now  # when material is available again

    @property
    def terminal(self) -> str:
        return self.spec.terminal.id

    def tick(self, now: Millis) -> list[DeviceReport]:
        """Advance by the second that ends at `now` and return the reports of the line's devices."""
        reports: list[DeviceReport] = []
        before = self.orders.product
        reports += [(self.terminal, report) for report in self.orders.tick(now, self.flow.good)]
        if self.orders.product is not None and self.orders.product != before:
            self.flow.change_product(self.orders.product, startup_rejects=before is not None)
        self.flow.tick(now, demand=DEMAND[self.orders.phase], has_material=self._has_material(now))
        for machine in self.flow.machines:
            parameter = self.parameters.get(machine.spec.id)
            if parameter is not None:
                parameter.tick(now, running=machine.condition is Condition.RUNNING)
        for device, controller in self.controllers.items():
            reports += [(device, report) for report in controller.reports(now)]
        reports += self.crew.tick(now, self._call_causes(now))
        return reports

    def current_reports(self, device: str) -> list[ReportContent]:
        """Return the reports that a device of the line sends after its birth."""
        if device in self.controllers:
            return self.controllers[device].current_reports()
        return self.crew.stations[device].current_reports()

    def _call_causes(self, now: Millis) -> list[CallCause]:
        causes = [
            CallCause(machine.faults[0].call, machine.spec.id, f"{machine.spec.id} stopped")
            for machine in self.flow.machines
            if machine.faults  # also while it is repaired with its power off
        ]
        causes += [
            CallCause("quality", device, f"{parameter.spec.name} out of limits")
            for device, parameter in self.parameters.items()
            if parameter.is_out_of_limits
        ]
        head = self.flow.machines[0]
        if head.condition is Condition.STARVED and now - head.since >= LONG_WAIT:
            causes.append(CallCause("material", head.spec.id, f"{head.spec.id} has no material"))
        return causes

    def _has_material(self, now: Millis) -> bool:
        if now >= self._shortage_at:
            low, high = self.spec.shortage_minutes
            self._material_at = now + self._rng.duration(low * 60, high * 60)
            self._shortage_at = self._material_at + self._next_shortage()
        return now >= self._material_at

    def _next_shortage(self) -> Millis:
        return self._rng.exponential(round(self.spec.mean_minutes_between_shortages * MINUTE))


def _inspection(machine: SimulatedMachine, seed: int, now: Millis) -> InspectionSampler | None:
    spec = machine.spec.inspection
    return None if spec is None else InspectionSampler(spec, SeededRandom(seed, f"{machine.spec.id}/inspection"), now)
