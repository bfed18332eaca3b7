"""Retained leftovers: reports from an earlier run of a device that the broker still holds."""

from collections.abc import Iterator, Mapping

from device_sim.disturbances.disturbance import DisturbanceTarget, build_targets
from device_sim.disturbances.traits import Traits
from device_sim.plant import packml
from device_sim.plant.machine import Condition
from device_sim.plant_file import PlantSpec
from device_sim.reports import encode, report_topic
from device_sim.time_units import Millis

OLD_COUNT = 120
EARLIER = 40_000_000  # milliseconds before the run


def leftover_messages(
    spec: PlantSpec, traits: Mapping[str, Traits], start: Millis
) -> Iterator[tuple[DisturbanceTarget, str, bytes]]:
    """Yield the retained messages of a plant's earlier run: device, topic and payload."""
    for target in build_targets(spec):
        own = traits[target.name]
        payloads = _payloads(target, start, boot_id=own.leftover_boot_id)
        for kind in own.leftovers:
            if kind in payloads:
                topic = report_topic(spec.site, target.line.area, target.line.id, target.name, kind)
                yield target, topic, payloads[kind]


def _payloads(target: DisturbanceTarget, start: Millis, *, boot_id: bool) -> dict[str, bytes]:
    """Return the payloads by kind: a machine is running, with low counts."""
    common: dict[str, object] = {"boot_id": start - EARLIER, "seq": 7} if boot_id else {}
    bodies: dict[str, dict[str, object]] = {"birth": {}, "death": {}}
    machine = target.machine
    if machine is not None:
        bodies["state"] = {"state": "running"}
        if machine.packml is not None:
            number = packml.NUMBER[machine.packml][packml.STEADY[Condition.RUNNING]]
            bodies["state"] = {"packml": {"dialect": machine.packml, "state": number}}
        bodies["counts"] = dict.fromkeys(machine.counts, OLD_COUNT)
    return {kind: encode({**common, **body}) for kind, body in bodies.items()}
