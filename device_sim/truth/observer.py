"""Observation of machines for the truth: conditions with their culprits, and counts over time."""

from device_sim.plant.line import SimulatedLine
from device_sim.plant.machine import Condition, SimulatedMachine
from device_sim.time_units import Millis
from device_sim.truth.truth import ConditionStretch, CountHistory, Truth

WAITING = (Condition.STARVED, Condition.BLOCKED)
STANDING = (Condition.FAULT, Condition.JAMMED, Condition.OFF)


class Observer:
    """Records conditions and counts of the plant's machines."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._open: dict[str, ConditionStretch] = {}

    def observe(self, line: SimulatedLine, index: int, at: Millis) -> None:
        """Record the counts of a machine of the line, and its condition if that has changed."""
        machine = line.flow.machines[index]
        self._count(machine, at)
        name = machine.spec.id
        open_ = self._open.get(name)
        faults = tuple(fault.code or f"bit {fault.bit}" for fault in machine.faults)
        culprit = _culprit(line, index)
        if open_ is not None and open_.condition == machine.condition.value:
            if culprit is None or culprit == "material":
                culprit = open_.culprit or culprit  # the buffers fill up again after the cause is gone
            if (faults, culprit, machine.product) == (open_.faults, open_.culprit, open_.product):
                return
        if open_ is not None:
            open_.until = at
        fresh = ConditionStretch(name, machine.condition.value, at, None, faults, culprit, machine.product)
        self._open[name] = fresh
        self._truth.stretches.append(fresh)

    def _count(self, machine: SimulatedMachine, at: Millis) -> None:
        made = self._truth.made.setdefault(machine.spec.id, CountHistory())
        if made.total and (made.total[-1], made.good[-1]) == (machine.total, machine.good):
            return
        made.at.append(at)
        made.total.append(machine.total)
        made.good.append(machine.good)


def _culprit(line: SimulatedLine, index: int) -> str | None:
    """Return what stops the machine: itself, the first stopped one behind those that wait alike, `material` or None."""
    machines = line.flow.machines
    condition = machines[index].condition
    if condition in STANDING:
        return machines[index].spec.id
    if condition not in WAITING:
        return None
    step = -1 if condition is Condition.STARVED else 1
    at = index + step
    while 0 <= at < len(machines) and machines[at].condition is condition:
        at += step
    if at < 0:
        return "material"
    if at < len(machines) and machines[at].condition in STANDING:
        return machines[at].spec.id
    return None
