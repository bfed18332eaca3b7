"""A connection to the broker as one or more devices use it: what they keep while it is away, and what follows after."""

from collections import deque
from typing import Final

from device_sim.chance import Millis
from device_sim.device import Device, Packet, encode
from device_sim.messages import Message
from device_sim.plant import Plant
from device_sim.traits import Traits
from device_sim.truth import Said

MEMORY: Final = 1_000  # reports a device keeps without a connection; a gateway keeps ten times as many


class Uplink:
    """The connection of one device. Without it, actions wait; states and counts only where the device keeps all."""

    def __init__(self, name: str, traits: Traits) -> None:
        self.name = name
        self.traits = traits
        self.online = False
        self._waiting: deque[tuple[Device, Said, str]] = deque()
        self._unacknowledged: list[Packet] = []

    def say(self, device: Device, said: Said, message: Message) -> list[Packet]:
        """Return what is to be published now."""
        if self.online:
            return [device.packet(said, message.topic)]
        if self.traits.keeps == "all" or said.is_action:
            if len(self._waiting) >= MEMORY:
                self._waiting.popleft()[1].fate = "memory full"
            self._waiting.append((device, said, message.topic))
        else:
            said.fate = "superseded"
        return []

    def connect(self, device: Device, first: list[tuple[Said, Message]]) -> list[Packet]:
        """Return what a device publishes after a connect: birth and standing, what it still owes, what waited.

        One that keeps its states and counts sends them in the order in which it read them, and those of now last.
        """
        self.online = True
        begin = 1 if self.traits.keeps == "all" else len(first)
        packets = [device.packet(said, message.topic) for said, message in first[:begin]]
        packets += self._take_unacknowledged()
        packets += [each.packet(said, topic) for each, said, topic in self._waiting]
        packets += [device.packet(said, message.topic) for said, message in first[begin:]]
        self._waiting.clear()
        return packets

    def cut(self, unacknowledged: list[Packet]) -> None:
        """Lose the connection; what was published and not acknowledged is owed, unless it was said with QoS 0."""
        self.online = False
        self._unacknowledged += unacknowledged

    def forget(self) -> None:
        """Lose the memory with the power."""
        lost = [said for _, said, _ in self._waiting]
        lost += [packet.said for packet in self._unacknowledged if packet.said is not None]
        for said in lost:
            if said.arrived == 0:
                said.fate = "no power"
        self._waiting.clear()
        self._unacknowledged.clear()

    def _take_unacknowledged(self) -> list[Packet]:
        owed, self._unacknowledged = self._unacknowledged, []
        return owed


class Gateway(Uplink):
    """The connection that a line's devices share. It keeps what they publish, numbered and dated as it was said."""

    def __init__(self, name: str, traits: Traits, topic: str) -> None:
        super().__init__(name, traits)
        self.boot_id = 0
        self._topic = topic  # of the line, ending in `_`
        self._buffer: deque[Packet] = deque()

    def say(self, device: Device, said: Said, message: Message) -> list[Packet]:
        return self.forward([device.packet(said, message.topic)])

    def forward(self, packets: list[Packet]) -> list[Packet]:
        """Return what is to be published now; the rest waits for the connection."""
        if self.online:
            return packets
        for packet in packets:
            if len(self._buffer) >= 10 * MEMORY:
                dropped = self._buffer.popleft()
                if dropped.said is not None:
                    dropped.said.fate = "memory full"
            self._buffer.append(packet)
        return []

    def boot(self, at: Millis) -> None:
        self.boot_id = max(self.boot_id + 1, at)

    def connect_gateway(self) -> list[Packet]:
        """Return the gateway's birth, what it still owes, and what it kept."""
        self.online = True
        birth = Packet(None, f"{self._topic}/birth", encode({"boot_id": self.boot_id, "seq": 0}))
        packets = [birth, *self._take_unacknowledged(), *self._buffer]
        self._buffer.clear()
        return packets

    def will(self) -> Packet:
        return Packet(None, f"{self._topic}/death", encode({"boot_id": self.boot_id, "seq": 0}))


def build_uplinks(plant: Plant, devices: dict[str, Device]) -> dict[str, list[Device]]:
    """Return which devices share which uplink, by the uplink's name."""
    found: dict[str, list[Device]] = {}
    for name in plant.devices:
        found.setdefault(devices[name].traits.gateway or name, []).append(devices[name])
    return found


def build_uplink(plant: Plant, name: str, devices: list[Device]) -> Uplink:
    """Return the connection of a device, or of a gateway for the devices of its line."""
    first = devices[0]
    if first.traits.gateway is None:
        return Uplink(name, first.traits)
    line = plant.line_of(first.name).spec
    return Gateway(name, first.traits, f"report/{plant.spec.site}/{line.area}/{line.id}/_")
