"""The simulated network of a rehearsal: every uplink with its latency, losses, resends and Will."""

from dataclasses import dataclass, field
from itertools import count
from typing import Final

from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.traits import Traits
from device_sim.devices.uplink import Gateway, Uplink, build_uplink, group_by_uplink
from device_sim.disturbances.incidents import BrokerLost, LinkLost
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage, report_topic
from device_sim.scheduler import Scheduler
from device_sim.seeded_random import Millis, SeededRandom
from device_sim.simulated_network.broker_session import BrokerSession
from device_sim.truth.outage_log import OutageLog
from device_sim.truth.truth import OutageCause, TrueReport, Truth

RECONNECT_SECONDS: Final = (0.5, 2.0)
RECONNECT_TO_BROKER_SECONDS: Final = (0.5, 30.0)  # the pauses grow while the broker is down
START_SECONDS: Final = (1.0, 6.0)  # a device boots


@dataclass(slots=True)
class SimulatedConnection:
    """The simulated connection of an uplink."""

    uplink: Uplink
    devices: list[SimulatedDevice]
    block_reasons: set[object] = field(default_factory=set)  # reasons not to connect
    generation: int = 0
    acknowledgements_lost: bool = False
    data_lost: bool = False
    in_flight: dict[int, Packet] = field(default_factory=dict)
    unacknowledged: list[Packet] = field(default_factory=list)
    latest_arrival: Millis = 0
    will: Packet | None = None  # registered with the broker
    pending_will: Packet | None = None  # the broker publishes it once it notices the loss


class SimulatedNetwork:
    def __init__(
        self, plant: SimulatedPlant, devices: dict[str, SimulatedDevice], *, scheduler: Scheduler,
        session: BrokerSession, truth: Truth,
    ) -> None:  # fmt: skip
        self._plant = plant
        self._scheduler = scheduler
        self._session = session
        self._truth = truth
        self._chance = SeededRandom(truth.seed, "network")
        self._keys = count()
        self._outages = OutageLog(truth, scheduler)
        self._broker_outages = 0
        self.devices = devices
        shared = group_by_uplink(plant, devices)
        self.connections = {
            name: SimulatedConnection(build_uplink(plant, name, group), group) for name, group in shared.items()
        }
        self._wire_of = {device.name: wire for wire in self.connections.values() for device in wire.devices}

    def start(self) -> None:
        """Connect every uplink, each at a random moment of the first two seconds."""
        for wire in self.connections.values():
            for device in wire.devices:
                self._outages.begin(device.name, "power")
            if isinstance(wire.uplink, Gateway):
                for device in wire.devices:
                    self._boot_behind_gateway(wire, device)
            self._reconnect_later(wire, (0.0, 2.0))

    def publish(self, message: ReportMessage, at: Millis) -> None:
        """Publish a device's report. Without power, record an action as lost, and ignore the rest."""
        device = self.devices[message.device]
        if not device.powered:
            if message.is_action:
                device.record_report(message, at).fate = "no power"
            return
        said = device.record_report(message, at, self._made(message.device))
        wire = self._wire_of[message.device]
        self._publish(wire, wire.uplink.submit(device, said, message))

    def publish_foreign(self, device: str, kind: str, payload: bytes, what: str) -> None:
        """Publish a foreign payload on a device's topic, unless the broker is down."""
        if not self._broker_outages:
            topic = self._topic(device, kind)
            self._truth.extras.append((self._scheduler.now, topic, payload, what))
            self._session.receive(self._scheduler.now, topic, payload, qos=1, true_report=None)

    def stall(self, wire: SimulatedConnection, until: Millis) -> None:
        """Let the connection fail silently until it dies: first acknowledgements are lost, then all packets."""
        if wire.uplink.online:
            generation = wire.generation
            wire.acknowledgements_lost = True
            dies = self._scheduler.now + round(self._chance.uniform(0, until - self._scheduler.now))
            self._scheduler.call_at(dies, lambda: self._lose_data(wire, generation))

    def power_off(self, device: SimulatedDevice, why: OutageCause, *, orderly: bool) -> None:
        wire = self._wire_of[device.name]
        if orderly and wire.uplink.online:
            self.publish(self._plant.death_message(device.name), self._scheduler.now)
        device.powered = False
        if isinstance(wire.uplink, Gateway):
            if not orderly:
                death = Packet(None, self._topic(device.name, "death"), device.will_payload())
                self._truth.extras.append((self._scheduler.now, death.topic, death.payload, "death by gateway"))
                self._publish(wire, wire.uplink.forward([death]))
            self._outages.begin(device.name, why)
            return
        wire.block_reasons.add("power")
        noticed_after = None if orderly else self._chance.duration(0.001, 22.5)
        self.disconnect(wire, why, noticed_after=noticed_after, drains=orderly)
        wire.uplink.clear_memory()

    def power_on(self, device: SimulatedDevice) -> None:
        wire = self._wire_of[device.name]
        if isinstance(wire.uplink, Gateway):
            self._boot_behind_gateway(wire, device)
            return
        wire.block_reasons.discard("power")
        self._reconnect_later(wire, START_SECONDS)

    def disconnect(
        self, wire: SimulatedConnection, why: OutageCause, *, noticed_after: Millis | None, drains: bool = False
    ) -> None:
        """Close a connection; the broker notices after `noticed_after`, or publishes no Will if that is None."""
        wire.generation += 1
        if not wire.uplink.online:
            return
        if not drains:
            for packet in list(wire.in_flight.values()):
                self._keep_unacknowledged(wire, packet, arrived=False)
            wire.in_flight.clear()
        owed, wire.unacknowledged = wire.unacknowledged, []
        wire.uplink.disconnect(owed)
        for device in wire.devices:
            self._outages.begin(device.name, why)
        if noticed_after is None:
            return
        will, wire.will = wire.will, None
        late = wire.uplink.traits.late_will
        if will is not None and late.ratio and self._chance.happens(late.ratio):
            at = self._scheduler.now + noticed_after + self._chance.duration(*late.seconds)
            self._scheduler.call_at(at, lambda: self._publish_will(will))
        elif will is not None:
            wire.pending_will = will
            self._scheduler.call_at(self._scheduler.now + noticed_after, lambda: self._notice_loss(wire, will))

    def lose_link(self, incident: LinkLost) -> None:
        wire = self.connections.get(incident.uplink)
        if wire is not None:
            wire.block_reasons.add(incident)
            why: OutageCause = "gateway" if isinstance(wire.uplink, Gateway) else "link"
            self.disconnect(wire, why, noticed_after=incident.noticed_after)

    def restore_link(self, incident: LinkLost) -> None:
        wire = self.connections.get(incident.uplink)
        if wire is not None:
            self.reconnect(wire, incident)

    def lose_broker(self, incident: BrokerLost) -> None:
        """Close every connection; no Will is published."""
        self._broker_outages += 1
        for wire in self.connections.values():
            wire.block_reasons.add(incident)
            wire.pending_will = None
            self.disconnect(wire, "broker", noticed_after=None)

    def restore_broker(self, incident: BrokerLost) -> None:
        self._broker_outages -= 1
        for wire in self.connections.values():
            self.reconnect(wire, incident, RECONNECT_TO_BROKER_SECONDS)

    def reconnect(
        self, wire: SimulatedConnection, reason: object, seconds: tuple[float, float] = RECONNECT_SECONDS
    ) -> None:
        """Remove a reason not to connect; after the last one, connect after a random delay within `seconds`."""
        wire.block_reasons.discard(reason)
        self._reconnect_later(wire, seconds)

    def _reconnect_later(self, wire: SimulatedConnection, seconds: tuple[float, float]) -> None:
        if wire.block_reasons or wire.uplink.online:
            return
        wire.generation += 1
        generation = wire.generation
        self._scheduler.call_at(
            self._scheduler.now + self._chance.duration(*seconds), lambda: self._connect(wire, generation)
        )

    def _connect(self, wire: SimulatedConnection, generation: int) -> None:
        if generation != wire.generation or wire.block_reasons or wire.uplink.online:
            return
        if wire.pending_will is not None:  # the broker closes the old connection first
            self._publish_will(wire.pending_will)
            wire.pending_will = None
        wire.acknowledgements_lost = wire.data_lost = False
        now = self._scheduler.now
        if isinstance(wire.uplink, Gateway):
            wire.uplink.boot(now)
            packets = wire.uplink.connect_gateway()
            wire.will = wire.uplink.will_packet()
            self._publish(wire, packets)
            for device in wire.devices:
                if device.powered:
                    self._outages.end(device.name)
            return
        (device,) = wire.devices
        device.boot(now)
        packets = wire.uplink.connect(device, self._first(device))
        wire.will = Packet(None, self._topic(device.name, "death"), device.will_payload())
        self._outages.end(device.name)
        self._publish(wire, packets)

    def _boot_behind_gateway(self, wire: SimulatedConnection, device: SimulatedDevice) -> None:
        """Boot a device behind a gateway, which it can always reach."""
        device.boot(self._scheduler.now)
        if wire.uplink.online:
            self._outages.end(device.name)
        for said, message in self._first(device):
            self._publish(wire, wire.uplink.submit(device, said, message))

    def _first(self, device: SimulatedDevice) -> list[tuple[TrueReport, ReportMessage]]:
        made = self._made(device.name)
        births = self._plant.birth_messages(device.name)
        return [(device.record_report(each, self._scheduler.now, made, standing=True), each) for each in births]

    def _publish(self, wire: SimulatedConnection, packets: list[Packet]) -> None:
        for packet in packets:
            self._send(wire, packet)

    def _send(self, wire: SimulatedConnection, packet: Packet) -> None:
        if packet.true_report is not None:
            packet.true_report.sent += 1
        if wire.data_lost:
            self._keep_unacknowledged(wire, packet, arrived=False)
            return
        traits = self._traits(wire, packet)
        wire.latest_arrival = max(
            wire.latest_arrival, self._scheduler.now + round(self._chance.uniform(*traits.latency_ms))
        )
        arrives, key, generation = wire.latest_arrival, next(self._keys), wire.generation
        if packet.true_report is not None and traits.reorder.ratio and self._chance.happens(traits.reorder.ratio):
            arrives += self._chance.duration(*traits.reorder.seconds)
        wire.in_flight[key] = packet
        self._scheduler.call_at(arrives, lambda: self._reach_broker(wire, key))
        again = packet.true_report is not None and packet.qos == 1 and traits.has_identity
        if again and traits.resend.ratio and self._chance.happens(traits.resend.ratio):
            at = arrives + self._chance.duration(*traits.resend.seconds)
            self._scheduler.call_at(at, lambda: self._send_again(wire, packet, generation))

    def _send_again(self, wire: SimulatedConnection, packet: Packet, generation: int) -> None:
        if wire.generation == generation and packet.true_report is not None:
            packet.true_report.sent += 1
            self._at_broker(packet)

    def _reach_broker(self, wire: SimulatedConnection, key: int) -> None:
        packet = wire.in_flight.pop(key, None)
        if packet is None:
            return
        self._at_broker(packet)
        if wire.acknowledgements_lost:
            self._keep_unacknowledged(wire, packet, arrived=True)

    def _at_broker(self, packet: Packet) -> None:
        self._session.receive(
            self._scheduler.now, packet.topic, packet.payload, qos=packet.qos, true_report=packet.true_report
        )
        if packet.retain:
            self._session.retain(packet.topic, packet.payload, packet.true_report)

    def _keep_unacknowledged(self, wire: SimulatedConnection, packet: Packet, *, arrived: bool) -> None:
        """Keep an unacknowledged packet if the device may send it again; otherwise mark a lost report."""
        if packet.qos == 1 and self._traits(wire, packet).has_identity:
            wire.unacknowledged.append(packet)
        elif not arrived and packet.true_report is not None and packet.true_report.arrived == 0:
            packet.true_report.fate = "qos 0" if packet.qos == 0 else "no identity"

    def _lose_data(self, wire: SimulatedConnection, generation: int) -> None:
        if wire.generation == generation:
            wire.data_lost = True

    def _notice_loss(self, wire: SimulatedConnection, will: Packet) -> None:
        if wire.pending_will is will:
            wire.pending_will = None
            self._publish_will(will)

    def _publish_will(self, will: Packet) -> None:
        if not self._broker_outages:
            self._truth.extras.append((self._scheduler.now, will.topic, will.payload, "will"))
            self._session.receive(self._scheduler.now, will.topic, will.payload, qos=1, true_report=None)

    def _traits(self, wire: SimulatedConnection, packet: Packet) -> Traits:
        return wire.uplink.traits if packet.true_report is None else self.devices[packet.true_report.device].traits

    def _made(self, device: str) -> dict[str, int] | None:
        machine = self._plant.machine(device)
        return None if machine is None else machine.made

    def _topic(self, device: str, kind: str) -> str:
        line = self._plant.line_of(device).spec
        return report_topic(self._plant.spec.site, line.area, line.id, device, kind)
