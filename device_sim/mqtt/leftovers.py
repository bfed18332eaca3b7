"""Publishing of the leftovers of a profile, before a run."""

import time

from device_sim.disturbances.leftovers import leftover_messages
from device_sim.mqtt.broker_access import BrokerAccess, publish_once
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile


async def publish_leftovers(spec: PlantSpec, profile: Profile, broker: BrokerAccess, *, seed: int) -> int:
    """Publish the leftovers of a profile, retained, and return their number."""
    start = time.time_ns() // 1_000_000
    traits = profile.traits(spec, seed=seed)
    count = 0
    for target, topic, payload in leftover_messages(spec, traits, start):
        identity = spec.identity(target.line, target.name if traits[target.name].gateway is None else None)
        await publish_once(
            broker, identity, client_id=f"{broker.client_prefix}{target.name}-leftovers", topic=topic, payload=payload,
            retain=True,
        )  # fmt: skip
        count += 1
    return count
