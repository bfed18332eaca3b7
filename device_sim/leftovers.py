"""Retained leftovers: what an earlier life of a device left on the broker."""

import json

from device_sim import packml
from device_sim.chance import Millis
from device_sim.disturbance import Target
from device_sim.machine import Condition

OLD_COUNT = 120
EARLIER = 40_000_000  # milliseconds before the run


def leftover_payloads(target: Target, start: Millis, *, boot_id: bool) -> dict[str, bytes]:
    """Return the payloads by kind: a machine ran, and had counted little."""
    common: dict[str, object] = {"boot_id": start - EARLIER, "seq": 7} if boot_id else {}
    bodies: dict[str, dict[str, object]] = {"birth": {}, "death": {}}
    machine = target.machine
    if machine is not None:
        bodies["state"] = {"state": "running"}
        if machine.packml is not None:
            number = packml.NUMBER[machine.packml][packml.STEADY[Condition.RUNNING]]
            bodies["state"] = {"packml": {"dialect": machine.packml, "state": number}}
        bodies["counts"] = dict.fromkeys(machine.counts, OLD_COUNT)
    return {kind: json.dumps({**common, **body}).encode() for kind, body in bodies.items()}
