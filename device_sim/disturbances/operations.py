"""Disturbances of how people run the plant: long repairs, and calls that are left alone."""

from typing import Literal

from device_sim.disturbances.disturbance import Disturbance
from device_sim.plant_file import PlantSpec, Range, Ratio


class LongRepairs(Disturbance):
    """A share of the faults takes long to repair, some with the power off, so that calls escalate to the top."""

    kind: Literal["long-repairs"]
    ratio: Ratio = 0.15
    minutes: Range = (35.0, 80.0)
    lock_out_ratio: Ratio = 0.0  # share of all repairs done with the machine's power off

    def apply_to_plant(self, spec: PlantSpec) -> PlantSpec:
        changes = {
            "long_repair_ratio": self.ratio,
            "long_repair_minutes": self.minutes,
            "lock_out_ratio": self.lock_out_ratio,
        }
        lines = tuple(
            line.model_copy(update={"machines": tuple(machine.model_copy(update=changes) for machine in line.machines)})
            for line in spec.lines
        )
        return spec.model_copy(update={"lines": lines})


class BusyPeople(Disturbance):
    """People leave many calls unacknowledged for long, some for as long as the trouble lasts."""

    kind: Literal["busy-people"]
    forget_ratio: Ratio = 0.5
    forget_minutes: Range = (8.0, 40.0)

    def apply_to_plant(self, spec: PlantSpec) -> PlantSpec:
        low, high = self.forget_minutes
        changes = {"forget_ratio": self.forget_ratio, "forget_seconds": (low * 60, high * 60)}
        lines = tuple(line.model_copy(update={"people": line.people.model_copy(update=changes)}) for line in spec.lines)
        return spec.model_copy(update={"lines": lines})
