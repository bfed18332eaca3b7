"""The connections of all devices, on which the driver plays incidents; real in a run, simulated in a rehearsal."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from device_sim.devices.connection import ConnectionContext, DeviceConnection
from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.uplink import Gateway, group_by_uplink
from device_sim.display.display import Display
from device_sim.disturbances.incidents import LinkLost
from device_sim.reports import ReportMessage
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis
from device_sim.truth.truth import OutageCause

NOTICE_SECONDS: Final = (0.001, 22.5)  # until the broker notices a power cut: at once, or after 1.5 keepalives

Connection = TypeVar("Connection", bound=DeviceConnection)


class DeviceConnections(Generic[Connection]):
    """A connection for each device without a gateway, and one for each gateway."""

    def __init__(
        self,
        devices: dict[str, SimulatedDevice],
        connect: Callable[[str, list[SimulatedDevice]], Connection],
        *,
        context: ConnectionContext,
        rng: SeededRandom,
        display: Display,
    ) -> None:
        self._plant = context.plant
        self._scheduler = context.scheduler
        self._truth = context.truth
        self._outages = context.outages
        self._rng = rng
        self._display = display
        self._devices = devices
        self.connections = {
            name: connect(name, group) for name, group in group_by_uplink(context.plant, devices).items()
        }
        self._connection_of = {
            device.name: connection for connection in self.connections.values() for device in connection.devices
        }

    def start(self) -> None:
        """Boot the devices behind gateways; every device is without a connection until its uplink's first connect."""
        for connection in self.connections.values():
            for device in connection.devices:
                self._outages.begin(device.name, "power")
            if isinstance(connection.uplink, Gateway):
                for device in connection.devices:
                    connection.boot_behind_gateway(device)

    def publish(self, message: ReportMessage, at: Millis) -> None:
        """Publish a device's report. Without power, record an action as lost, and ignore the rest."""
        device = self._devices[message.device]
        if not device.powered:
            if message.is_action:
                device.record_report(message, at).fate = "no power"
            return
        self._display.show_report(message)
        report = device.record_report(message, at, self._plant.made(message.device))
        self._connection_of[message.device].submit(device, report, message)

    def publish_foreign(self, device: str, kind: str, payload: bytes, what: str) -> None:
        """Publish a payload that is no report of the device on its topic, if that is possible now."""
        self._connection_of[device].publish_foreign(self._plant.report_topic(device, kind), payload, what)

    def power_off(self, device: SimulatedDevice, why: OutageCause, *, orderly: bool) -> None:
        """Switch a device off, in order with its death first, and drop what it has stored."""
        connection = self._connection_of[device.name]
        uplink = connection.uplink
        self._note(f"{device.name}: {'switched off' if orderly else 'power cut'}")
        if orderly and (uplink.online or isinstance(uplink, Gateway)):
            self.publish(self._plant.death_message(device.name), self._scheduler.now)
        device.powered = False
        if isinstance(uplink, Gateway):
            if not orderly:
                death = Packet(None, self._plant.report_topic(device.name, "death"), device.will_payload())
                self._truth.extras.append((self._scheduler.now, death.topic, death.payload, "death by gateway"))
                connection.publish(uplink.forward([death]))
            self._outages.begin(device.name, why)
            return
        if orderly:
            connection.shut_down("power")
        else:
            connection.lose("power", why, noticed_after=self._rng.duration(*NOTICE_SECONDS))
        uplink.clear_memory()

    def power_on(self, device: SimulatedDevice) -> None:
        connection = self._connection_of[device.name]
        self._note(f"{device.name}: power is back")
        if isinstance(connection.uplink, Gateway):
            connection.boot_behind_gateway(device)
        else:
            connection.allow("power")

    def lose_link(self, incident: LinkLost) -> None:
        connection = self.connections.get(incident.uplink)
        if connection is not None:
            self._note(f"{_label(connection)}: connection lost")
            why: OutageCause = "gateway" if isinstance(connection.uplink, Gateway) else "link"
            connection.lose(incident, why, noticed_after=incident.noticed_after)

    def restore_link(self, incident: LinkLost) -> None:
        connection = self.connections.get(incident.uplink)
        if connection is not None:
            self._note(f"{_label(connection)}: network is back")
            connection.allow(incident)

    def _note(self, text: str) -> None:
        self._display.show_note(self._scheduler.now, text)


def _label(connection: DeviceConnection) -> str:
    """Return the name of a connection for people."""
    is_gateway = isinstance(connection.uplink, Gateway)
    return f"gateway of {connection.name.removeprefix('_/')}" if is_gateway else connection.name
