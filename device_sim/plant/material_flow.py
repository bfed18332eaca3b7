"""The material flow of a line: machines in a row with small buffers between them."""

from collections.abc import Sequence

from device_sim.plant.machine import ENDLESS, Demand, SimulatedMachine
from device_sim.time_units import Millis


class MaterialFlow:
    """Moves pieces from machine to machine. No piece appears or vanishes in between, except rejects."""

    def __init__(self, machines: Sequence[SimulatedMachine]) -> None:
        self.machines = tuple(machines)
        self.between = [0] * (len(self.machines) - 1)

    @property
    def good(self) -> int:
        """Good pieces that have left the line."""
        return self.machines[-1].good

    def tick(self, now: Millis, *, demand: Demand, has_material: bool) -> None:
        """Advance every machine by one tick, last one first: a place that it frees can be filled in the same tick."""
        last = len(self.machines) - 1
        for index in range(last, -1, -1):
            machine = self.machines[index]
            supply = (ENDLESS if has_material else 0) if index == 0 else self.between[index - 1]
            room = ENDLESS if index == last else machine.spec.buffer - self.between[index]
            step = machine.tick(now, demand=demand, supply=supply, room=room)
            if index > 0:
                self.between[index - 1] -= step.taken
            if index < last:
                self.between[index] += step.passed

    def change_product(self, product: str, *, startup_rejects: bool) -> None:
        """Set every machine to a product; with `startup_rejects`, remove the pieces between the machines."""
        if startup_rejects:
            self.between = [0] * len(self.between)
        for machine in self.machines:
            machine.change_product(product, startup_rejects=startup_rejects)
