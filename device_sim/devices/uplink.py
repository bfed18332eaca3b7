"""Uplinks: connections that devices have to the broker, with the reports stored while offline and sent afterwards."""

from collections import deque
from typing import Final

from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.disturbances.traits import Traits
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage, encode
from device_sim.time_units import Millis
from device_sim.truth.truth import TrueReport

MAX_STORED_REPORTS: Final = 1_000  # reports a device stores while offline; a gateway stores ten times as many


class Uplink:
    """The connection of one device. Stores actions while offline, and other reports only if the device keeps all."""

    def __init__(self, name: str, traits: Traits) -> None:
        self.name = name
        self.traits = traits
        self.online = False
        self._waiting: deque[tuple[SimulatedDevice, TrueReport, str]] = deque()
        self._unacknowledged: list[Packet] = []

    def submit(self, device: SimulatedDevice, true_report: TrueReport, message: ReportMessage) -> list[Packet]:
        """Return the packets to publish now; while offline, store or drop the report."""
        if self.online:
            return [device.build_packet(true_report, message.topic)]
        if self.traits.keeps == "all" or true_report.is_action:
            if len(self._waiting) >= MAX_STORED_REPORTS:
                self._waiting.popleft()[1].fate = "memory full"
            self._waiting.append((device, true_report, message.topic))
        else:
            true_report.fate = "superseded"
        return []

    def connect(self, device: SimulatedDevice, birth_reports: list[tuple[TrueReport, ReportMessage]]) -> list[Packet]:
        """Return the packets of a connect: birth, unacknowledged packets, stored reports, then the current state."""
        self.online = True
        packets = [device.build_packet(report, birth.topic) for report, birth in birth_reports[:1]]
        packets += self._take_unacknowledged()
        packets += [owner.build_packet(report, topic) for owner, report, topic in self._waiting]
        packets += [device.build_packet(report, message.topic) for report, message in birth_reports[1:]]
        self._waiting.clear()
        return packets

    def disconnect(self, unacknowledged: list[Packet]) -> None:
        """Go offline; the `unacknowledged` packets (QoS 1 only) are sent again after the next birth."""
        self.online = False
        self._unacknowledged += unacknowledged

    def clear_memory(self) -> None:
        """Drop stored and unacknowledged reports, as at a loss of power."""
        lost = [report for _, report, _ in self._waiting]
        lost += [packet.true_report for packet in self._unacknowledged if packet.true_report is not None]
        for report in lost:
            if report.arrived == 0:
                report.fate = "no power"
        self._waiting.clear()
        self._unacknowledged.clear()

    def _take_unacknowledged(self) -> list[Packet]:
        packets, self._unacknowledged = self._unacknowledged, []
        return packets


class Gateway(Uplink):
    """The connection that a line's devices share. Stores their packets while offline, with their `seq` and `ts`."""

    def __init__(self, name: str, traits: Traits, topic: str) -> None:
        super().__init__(name, traits)
        self.boot_id = 0
        self._topic = topic  # of the line, ending in `_`
        self._buffer: deque[Packet] = deque()

    def submit(self, device: SimulatedDevice, true_report: TrueReport, message: ReportMessage) -> list[Packet]:
        return self.forward([device.build_packet(true_report, message.topic)])

    def forward(self, packets: list[Packet]) -> list[Packet]:
        """Return the packets to publish now; while offline, store them."""
        if self.online:
            return packets
        for packet in packets:
            if len(self._buffer) >= 10 * MAX_STORED_REPORTS:
                dropped = self._buffer.popleft()
                if dropped.true_report is not None:
                    dropped.true_report.fate = "memory full"
            self._buffer.append(packet)
        return []

    def boot(self, at: Millis) -> None:
        self.boot_id = max(self.boot_id + 1, at)

    def connect_gateway(self) -> list[Packet]:
        """Return the gateway's birth, then the unacknowledged and the stored packets."""
        self.online = True
        birth = Packet(None, f"{self._topic}/birth", encode({"boot_id": self.boot_id, "seq": 0}))
        packets = [birth, *self._take_unacknowledged(), *self._buffer]
        self._buffer.clear()
        return packets

    def will_packet(self) -> Packet:
        return Packet(None, f"{self._topic}/death", encode({"boot_id": self.boot_id, "seq": 0}))


def group_by_uplink(plant: SimulatedPlant, devices: dict[str, SimulatedDevice]) -> dict[str, list[SimulatedDevice]]:
    """Return the devices of each uplink, by the uplink's name."""
    groups: dict[str, list[SimulatedDevice]] = {}
    for name in plant.devices:
        groups.setdefault(devices[name].traits.gateway or name, []).append(devices[name])
    return groups


def build_uplink(plant: SimulatedPlant, name: str, devices: list[SimulatedDevice]) -> Uplink:
    """Return the connection of a device, or of a gateway for the devices of its line."""
    first = devices[0]
    if first.traits.gateway is None:
        return Uplink(name, first.traits)
    line = plant.line_of(first.name).spec
    return Gateway(name, first.traits, f"report/{plant.spec.site}/{line.area}/{line.id}/_")
