"""Shared by the simulator's tests: the shipped plant, small machines, and a start."""

from typing import Any

from device_sim import plant_file
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.plant_file import FaultSpec, MachineSpec, PlantSpec
from device_sim.reports import ReportMessage
from tests.device_sim.report_numbering import ReportNumbering

START = 1_767_600_000_000
MINUTE = 60_000
SHIPPED: PlantSpec = plant_file.load(plant_file.SHIPPED)


def machine_spec(**changes: Any) -> MachineSpec:
    """Describe a machine that never stops by itself and makes no rejects, but for `changes`."""
    defaults: dict[str, Any] = {
        "id": "M",
        "controller": "test",
        "cycle_seconds": 1.0,
        "reject_ratio": 0.0,
        "startup_rejects": 0,
        "faults": (FaultSpec(code="F1", reason="MECH"),),
        "mean_minutes_between_faults": 80_000.0,
        "mean_minutes_between_jams": 80_000.0,
    }
    return MachineSpec.model_validate(defaults | changes)


def live(seed: int, minutes: float) -> list[ReportMessage]:
    plant = SimulatedPlant(SHIPPED, seed=seed, start=START)
    return plant.step(START + round(minutes * MINUTE))


def encoded(messages: list[ReportMessage]) -> list[tuple[int, str, bytes]]:
    """Return what goes over the wire, numbered device by device."""
    numberings: dict[str, ReportNumbering] = {}
    return [
        (message.at, message.topic, numberings.setdefault(message.device, ReportNumbering(1)).payload(message))
        for message in messages
    ]
