"""The simulated network of a rehearsal: the connections of all devices to one simulated broker."""

from device_sim.devices.connection import ConnectionContext
from device_sim.devices.connections import DeviceConnections
from device_sim.devices.device import SimulatedDevice
from device_sim.display.display import NullDisplay
from device_sim.disturbances.incidents import BrokerLost
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.scheduler import Scheduler
from device_sim.seeded_random import SeededRandom
from device_sim.simulated_network.broker_session import BrokerSession
from device_sim.simulated_network.connection import SimulatedConnection
from device_sim.truth.outage_log import OutageLog
from device_sim.truth.truth import Truth


class SimulatedNetwork(DeviceConnections[SimulatedConnection]):
    """Connects the devices to a simulated broker and bridge, in simulated time."""

    def __init__(
        self, plant: SimulatedPlant, devices: dict[str, SimulatedDevice], *, scheduler: Scheduler,
        session: BrokerSession, truth: Truth,
    ) -> None:  # fmt: skip
        rng = SeededRandom(truth.seed, "network")
        context = ConnectionContext(
            plant=plant, scheduler=scheduler, truth=truth, outages=OutageLog(truth, scheduler),
            boot_clock=lambda: scheduler.now,
        )  # fmt: skip
        super().__init__(
            devices,
            lambda name, group: SimulatedConnection(name, group, context, session=session, rng=rng),
            context=context, rng=rng, display=NullDisplay(),
        )  # fmt: skip

    def start(self) -> None:
        """Connect every uplink, each at a random moment of the first two seconds."""
        super().start()
        for connection in self.connections.values():
            connection.connect_later((0.0, 2.0))

    def lose_broker(self, incident: BrokerLost) -> None:
        """Close every connection; no Will is published."""
        for connection in self.connections.values():
            connection.lose_broker(incident)

    def restore_broker(self, incident: BrokerLost) -> None:
        for connection in self.connections.values():
            connection.allow(incident)
