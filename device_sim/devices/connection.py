"""The connection of an uplink to the broker: what a simulated and a real one have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.uplink import Gateway, build_uplink
from device_sim.disturbances.traits import Traits
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage
from device_sim.scheduler import Scheduler
from device_sim.time_units import Millis
from device_sim.truth.outage_log import OutageLog
from device_sim.truth.truth import OutageCause, TrueReport, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """Shared by all connections of a run; `boot_clock` gives the time at which a device boots, for its `boot_id`."""

    plant: SimulatedPlant
    scheduler: Scheduler
    truth: Truth
    outages: OutageLog
    boot_clock: Callable[[], Millis]


class DeviceConnection(ABC):
    """The connection of one device, or of a gateway for the devices of its line."""

    def __init__(self, name: str, devices: list[SimulatedDevice], context: ConnectionContext) -> None:
        self.name = name
        self.devices = devices
        self.uplink = build_uplink(context.plant, name, devices)
        self.block_reasons: set[object] = set()  # reasons not to connect
        self._plant = context.plant
        self._scheduler = context.scheduler
        self._truth = context.truth
        self._outages = context.outages
        self._boot_clock = context.boot_clock
        self._traits = {device.name: device.traits for device in devices}

    @abstractmethod
    def publish(self, packets: list[Packet]) -> None:
        """Publish packets in order, with the delays, reorders and resends of their device's traits."""

    @abstractmethod
    def publish_foreign(self, topic: str, payload: bytes, what: str) -> None:
        """Publish a payload that is no report of the device, if that is possible now."""

    @abstractmethod
    def lose(self, reason: object, why: OutageCause, *, noticed_after: Millis) -> None:
        """Die without a DISCONNECT: the broker notices after `noticed_after` and publishes the Will."""

    @abstractmethod
    def shut_down(self, reason: object) -> None:
        """Send what is on its way, then close the connection with a DISCONNECT."""

    @abstractmethod
    def allow(self, reason: object) -> None:
        """Remove a reason not to connect; reconnect after the last one."""

    def submit(self, device: SimulatedDevice, true_report: TrueReport, message: ReportMessage) -> None:
        """Publish a recorded report of a device; while offline, the uplink stores or drops it."""
        self.publish(self.uplink.submit(device, true_report, message))

    def boot_behind_gateway(self, device: SimulatedDevice) -> None:
        """Boot a device behind a gateway, which it can always reach."""
        device.boot(self._boot_clock())
        if self.uplink.online:
            self._outages.end(device.name)
        for report, message in self._birth_reports(device):
            self.submit(device, report, message)

    def _boot(self) -> Packet:
        """Begin a connect with a new `boot_id`, and return its Will."""
        now = self._boot_clock()
        if isinstance(self.uplink, Gateway):
            self.uplink.boot(now)
            return self.uplink.will_packet()
        (device,) = self.devices
        device.boot(now)
        return Packet(None, self._plant.report_topic(device.name, "death"), device.will_payload())

    def _connect_uplink(self) -> list[Packet]:
        """End the outages of powered devices, and return the packets of a connect."""
        for device in self.devices:
            if device.powered:
                self._outages.end(device.name)
        if isinstance(self.uplink, Gateway):
            return self.uplink.connect_gateway()
        (device,) = self.devices
        return self.uplink.connect(device, self._birth_reports(device))

    def _birth_reports(self, device: SimulatedDevice) -> list[tuple[TrueReport, ReportMessage]]:
        """Return the birth of a device and the reports that follow it."""
        now, made = self._scheduler.now, self._plant.made(device.name)
        messages = self._plant.birth_messages(device.name)
        return [(device.record_report(message, now, made, standing=True), message) for message in messages]

    def _traits_of(self, packet: Packet) -> Traits:
        return self.uplink.traits if packet.true_report is None else self._traits[packet.true_report.device]

    def _may_resend(self, packet: Packet) -> bool:
        """Return whether an unacknowledged packet may be sent again: the bridge can tell that it is the same."""
        return packet.qos == 1 and self._traits_of(packet).has_identity
