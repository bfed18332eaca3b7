"""Retained leftovers: reports from an earlier run of a device that the broker still holds."""

import json
import time
from collections.abc import Iterator, Mapping

from device_sim.disturbances.disturbance import DisturbanceTarget, build_targets
from device_sim.disturbances.traits import Traits
from device_sim.mqtt.broker_access import BrokerAccess, publish_once
from device_sim.plant import packml
from device_sim.plant.machine import Condition
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile
from device_sim.reports import report_topic
from device_sim.seeded_random import Millis

OLD_COUNT = 120
EARLIER = 40_000_000  # milliseconds before the run


def leftover_messages(
    spec: PlantSpec, traits: Mapping[str, Traits], start: Millis
) -> Iterator[tuple[DisturbanceTarget, str, bytes]]:
    """Yield the retained messages of a plant's earlier run: device, topic and payload."""
    for target in build_targets(spec):
        mine = traits[target.name]
        payloads = leftover_payloads(target, start, boot_id=mine.leftover_boot_id)
        for kind in mine.leftovers:
            if kind in payloads:
                topic = report_topic(spec.site, target.line.area, target.line.id, target.name, kind)
                yield target, topic, payloads[kind]


async def publish_leftovers(spec: PlantSpec, profile: Profile, broker: BrokerAccess, *, seed: int) -> int:
    """Publish the leftovers of a profile, retained, and return their number."""
    count = 0
    start = time.time_ns() // 1_000_000
    traits = profile.traits(spec, seed=seed)
    for target, topic, payload in leftover_messages(spec, traits, start):
        identity = spec.identity(target.line, target.name if traits[target.name].gateway is None else None)
        await publish_once(
            broker, identity, client_id=f"{broker.client_prefix}{target.name}-leftovers", topic=topic, payload=payload,
            retain=True,
        )  # fmt: skip
        count += 1
    return count


def leftover_payloads(target: DisturbanceTarget, start: Millis, *, boot_id: bool) -> dict[str, bytes]:
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
    return {kind: json.dumps({**common, **body}).encode() for kind, body in bodies.items()}
