"""The real connections of all devices."""

import time

from device_sim.devices.connection import ConnectionContext
from device_sim.devices.connections import DeviceConnections
from device_sim.devices.device import SimulatedDevice
from device_sim.display.display import Display
from device_sim.mqtt.broker_access import BrokerAccess
from device_sim.mqtt.connection import MqttConnection
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.scheduler import Scheduler
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis
from device_sim.truth.outage_log import OutageLog
from device_sim.truth.truth import Truth


class MqttConnections(DeviceConnections[MqttConnection]):
    """Connects each device, or group of devices, to the broker as a client of its own."""

    def __init__(
        self, plant: SimulatedPlant, devices: dict[str, SimulatedDevice], *, broker: BrokerAccess, display: Display,
        scheduler: Scheduler, truth: Truth, scale: float,
    ) -> None:  # fmt: skip
        context = ConnectionContext(
            plant=plant, scheduler=scheduler, truth=truth, outages=OutageLog(truth, scheduler), boot_clock=_real_time,
        )  # fmt: skip
        super().__init__(
            devices,
            lambda name, group: MqttConnection(name, group, context, broker=broker, display=display, scale=scale),
            context=context, rng=SeededRandom(truth.seed, "links"), display=display,
        )  # fmt: skip


def _real_time() -> Millis:
    """Return the real time: the `boot_id` of a later run must exceed that of a faster one before."""
    return time.time_ns() // 1_000_000
