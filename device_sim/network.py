"""The simulated network of a rehearsal: every uplink with its latency, its losses, its repeats and its Will."""

from dataclasses import dataclass, field
from itertools import count
from typing import Final

from device_sim.agenda import Agenda
from device_sim.chance import Chance, Millis
from device_sim.device import Device, Packet
from device_sim.incident import BrokerLost, LinkLost
from device_sim.messages import Message, report_topic
from device_sim.plant import Plant
from device_sim.session import Session
from device_sim.traits import Traits
from device_sim.truth import Absence, Said, Truth, Why
from device_sim.uplink import Gateway, Uplink, build_uplink, build_uplinks

RECONNECT_SECONDS: Final = (0.5, 2.0)
RECONNECT_TO_BROKER_SECONDS: Final = (0.5, 30.0)  # with growing pauses, as the broker was away
START_SECONDS: Final = (1.0, 6.0)  # a device boots


@dataclass(slots=True)
class Wire:
    """An uplink's connection as the network sees it."""

    uplink: Uplink
    devices: list[Device]
    reasons: set[object] = field(default_factory=set)  # why it cannot be
    generation: int = 0
    acknowledgements_lost: bool = False
    data_lost: bool = False
    in_flight: dict[int, Packet] = field(default_factory=dict)
    owed: list[Packet] = field(default_factory=list)
    latest: Millis = 0
    will: Packet | None = None  # left with the broker
    pending_will: Packet | None = None  # the broker will publish it


class Network:
    def __init__(
        self, plant: Plant, devices: dict[str, Device], *, agenda: Agenda, session: Session, truth: Truth
    ) -> None:
        self._plant = plant
        self._agenda = agenda
        self._session = session
        self._truth = truth
        self._chance = Chance(truth.seed, "network")
        self._keys = count()
        self._absent: dict[str, Absence] = {}
        self._broker_away = 0
        self.devices = devices
        shared = build_uplinks(plant, devices)
        self.wires = {name: Wire(build_uplink(plant, name, group), group) for name, group in shared.items()}
        self._wire_of = {device.name: wire for wire in self.wires.values() for device in wire.devices}

    def start(self) -> None:
        """Connect everybody, one after the other."""
        for wire in self.wires.values():
            self._absent |= {each.name: self._leave(each.name, "power") for each in wire.devices}
            if isinstance(wire.uplink, Gateway):
                for device in wire.devices:
                    self._greet(wire, device)
            self._reconnect_later(wire, (0.0, 2.0))

    def say(self, message: Message, at: Millis) -> None:
        """Let a device say something, or try to."""
        device = self.devices[message.device]
        if not device.powered:
            if message.is_action:
                device.say(message, at).fate = "no power"
            return
        said = device.say(message, at, self._made(message.device))
        wire = self._wire_of[message.device]
        self._publish(wire, wire.uplink.say(device, said, message))

    def publish_foreign(self, device: str, kind: str, payload: bytes, what: str) -> None:
        """Let somebody else publish on a topic of a device, where there is a broker."""
        if not self._broker_away:
            topic = self._topic(device, kind)
            self._truth.extras.append((self._agenda.now, topic, payload, what))
            self._session.receive(self._agenda.now, topic, payload, qos=1, said=None)

    def stall(self, wire: Wire, until: Millis) -> None:
        """Let the connection fail silently a moment before it dies: first acknowledgements are lost, then all."""
        if wire.uplink.online:
            generation = wire.generation
            wire.acknowledgements_lost = True
            dies = self._agenda.now + round(self._chance.between(0, until - self._agenda.now))
            self._agenda.at(dies, lambda: self._lose_data(wire, generation))

    def power_off(self, device: Device, why: Why, *, orderly: bool) -> None:
        wire = self._wire_of[device.name]
        if orderly and wire.uplink.online:
            self.say(self._plant.death(device.name), self._agenda.now)
        device.powered = False
        if isinstance(wire.uplink, Gateway):
            if not orderly:
                death = Packet(None, self._topic(device.name, "death"), device.will())
                self._truth.extras.append((self._agenda.now, death.topic, death.payload, "death by gateway"))
                self._publish(wire, wire.uplink.forward([death]))
            self._away(device.name, why)
            return
        wire.reasons.add("power")
        self.cut(wire, why, notice=None if orderly else self._chance.span(0.001, 22.5), drains=orderly)
        wire.uplink.forget()

    def power_on(self, device: Device) -> None:
        wire = self._wire_of[device.name]
        if isinstance(wire.uplink, Gateway):
            self._greet(wire, device)
            return
        wire.reasons.discard("power")
        self._reconnect_later(wire, START_SECONDS)

    def cut(self, wire: Wire, why: Why, *, notice: Millis | None, drains: bool = False) -> None:
        """Let a connection die; the broker notices after `notice`, or never publishes a Will."""
        wire.generation += 1
        if not wire.uplink.online:
            return
        if not drains:
            for packet in list(wire.in_flight.values()):
                self._owe(wire, packet, arrived=False)
            wire.in_flight.clear()
        owed, wire.owed = wire.owed, []
        wire.uplink.cut(owed)
        for device in wire.devices:
            self._away(device.name, why)
        if notice is None:
            return
        will, wire.will = wire.will, None
        late = wire.uplink.traits.late_will
        if will is not None and late.ratio and self._chance.happens(late.ratio):
            at = self._agenda.now + notice + self._chance.span(*late.seconds)
            self._agenda.at(at, lambda: self._publish_will(will))
        elif will is not None:
            wire.pending_will = will
            self._agenda.at(self._agenda.now + notice, lambda: self._notice(wire, will))

    def lose(self, incident: LinkLost) -> None:
        wire = self.wires.get(incident.uplink)
        if wire is not None:
            wire.reasons.add(incident)
            why: Why = "gateway" if isinstance(wire.uplink, Gateway) else "link"
            self.cut(wire, why, notice=incident.noticed_after)

    def restore(self, incident: LinkLost) -> None:
        wire = self.wires.get(incident.uplink)
        if wire is not None:
            self.reconnect(wire, incident)

    def lose_broker(self, incident: BrokerLost) -> None:
        """Let every connection die; no Will is published."""
        self._broker_away += 1
        for wire in self.wires.values():
            wire.reasons.add(incident)
            wire.pending_will = None
            self.cut(wire, "broker", notice=None)

    def return_broker(self, incident: BrokerLost) -> None:
        self._broker_away -= 1
        for wire in self.wires.values():
            self.reconnect(wire, incident, RECONNECT_TO_BROKER_SECONDS)

    def reconnect(self, wire: Wire, reason: object, seconds: tuple[float, float] = RECONNECT_SECONDS) -> None:
        """Take away a reason not to be connected; connect soon after the last of them."""
        wire.reasons.discard(reason)
        self._reconnect_later(wire, seconds)

    def _reconnect_later(self, wire: Wire, seconds: tuple[float, float]) -> None:
        if wire.reasons or wire.uplink.online:
            return
        wire.generation += 1
        generation = wire.generation
        self._agenda.at(self._agenda.now + self._chance.span(*seconds), lambda: self._connect(wire, generation))

    def _connect(self, wire: Wire, generation: int) -> None:
        if generation != wire.generation or wire.reasons or wire.uplink.online:
            return
        if wire.pending_will is not None:  # the broker gives up the old connection first
            self._publish_will(wire.pending_will)
            wire.pending_will = None
        wire.acknowledgements_lost = wire.data_lost = False
        now = self._agenda.now
        if isinstance(wire.uplink, Gateway):
            wire.uplink.boot(now)
            packets = wire.uplink.connect_gateway()
            wire.will = wire.uplink.will()
            self._publish(wire, packets)
            for device in wire.devices:
                if device.powered:
                    self._back(device.name)
            return
        (device,) = wire.devices
        device.boot(now)
        packets = wire.uplink.connect(device, self._first(device))
        wire.will = Packet(None, self._topic(device.name, "death"), device.will())
        self._back(device.name)
        self._publish(wire, packets)

    def _greet(self, wire: Wire, device: Device) -> None:
        """Let a device behind a gateway begin: the gateway is always there for it."""
        device.boot(self._agenda.now)
        if wire.uplink.online:
            self._back(device.name)
        for said, message in self._first(device):
            self._publish(wire, wire.uplink.say(device, said, message))

    def _first(self, device: Device) -> list[tuple[Said, Message]]:
        made = self._made(device.name)
        births = self._plant.birth(device.name)
        return [(device.say(each, self._agenda.now, made, standing=True), each) for each in births]

    def _publish(self, wire: Wire, packets: list[Packet]) -> None:
        for packet in packets:
            self._send(wire, packet)

    def _send(self, wire: Wire, packet: Packet) -> None:
        if packet.said is not None:
            packet.said.sent += 1
        if wire.data_lost:
            self._owe(wire, packet, arrived=False)
            return
        traits = self._traits(wire, packet)
        wire.latest = max(wire.latest, self._agenda.now + round(self._chance.between(*traits.latency_ms)))
        arrives, key, generation = wire.latest, next(self._keys), wire.generation
        if packet.said is not None and traits.reorder.ratio and self._chance.happens(traits.reorder.ratio):
            arrives += self._chance.span(*traits.reorder.seconds)
        wire.in_flight[key] = packet
        self._agenda.at(arrives, lambda: self._reach_broker(wire, key))
        again = packet.said is not None and packet.qos == 1 and traits.has_identity
        if again and traits.resend.ratio and self._chance.happens(traits.resend.ratio):
            at = arrives + self._chance.span(*traits.resend.seconds)
            self._agenda.at(at, lambda: self._send_again(wire, packet, generation))

    def _send_again(self, wire: Wire, packet: Packet, generation: int) -> None:
        if wire.generation == generation and packet.said is not None:
            packet.said.sent += 1
            self._at_broker(packet)

    def _reach_broker(self, wire: Wire, key: int) -> None:
        packet = wire.in_flight.pop(key, None)
        if packet is None:
            return
        self._at_broker(packet)
        if wire.acknowledgements_lost:
            self._owe(wire, packet, arrived=True)

    def _at_broker(self, packet: Packet) -> None:
        self._session.receive(self._agenda.now, packet.topic, packet.payload, qos=packet.qos, said=packet.said)
        if packet.retain:
            self._session.retain(packet.topic, packet.payload, packet.said)

    def _owe(self, wire: Wire, packet: Packet, *, arrived: bool) -> None:
        """Keep what was not acknowledged, where the device may send it again."""
        if packet.qos == 1 and self._traits(wire, packet).has_identity:
            wire.owed.append(packet)
        elif not arrived and packet.said is not None and packet.said.arrived == 0:
            packet.said.fate = "qos 0" if packet.qos == 0 else "no identity"

    def _lose_data(self, wire: Wire, generation: int) -> None:
        if wire.generation == generation:
            wire.data_lost = True

    def _notice(self, wire: Wire, will: Packet) -> None:
        if wire.pending_will is will:
            wire.pending_will = None
            self._publish_will(will)

    def _publish_will(self, will: Packet) -> None:
        if not self._broker_away:
            self._truth.extras.append((self._agenda.now, will.topic, will.payload, "will"))
            self._session.receive(self._agenda.now, will.topic, will.payload, qos=1, said=None)

    def _away(self, device: str, why: Why) -> None:
        if device not in self._absent:
            self._absent[device] = self._leave(device, why)

    def _leave(self, device: str, why: Why) -> Absence:
        absence = Absence(device, self._agenda.now, None, why)
        self._truth.absences.append(absence)
        return absence

    def _back(self, device: str) -> None:
        absence = self._absent.pop(device, None)
        if absence is not None:
            absence.until = self._agenda.now

    def _traits(self, wire: Wire, packet: Packet) -> Traits:
        return wire.uplink.traits if packet.said is None else self.devices[packet.said.device].traits

    def _made(self, device: str) -> dict[str, int] | None:
        machine = self._plant.machine(device)
        return None if machine is None else machine.made

    def _topic(self, device: str, kind: str) -> str:
        line = self._plant.line_of(device).spec
        return report_topic(self._plant.spec.site, line.area, line.id, device, kind)
