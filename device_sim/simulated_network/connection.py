"""A simulated connection of an uplink: latency, losses, resends, and the Will that the broker publishes."""

from itertools import count
from typing import Final

from device_sim.devices.connection import ConnectionContext, DeviceConnection
from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.disturbances.incidents import BrokerLost
from device_sim.seeded_random import SeededRandom
from device_sim.simulated_network.broker_session import BrokerSession
from device_sim.time_units import Millis
from device_sim.truth.truth import OutageCause

START_SECONDS: Final = (1.0, 6.0)  # a device boots
RECONNECT_SECONDS: Final = (0.5, 2.0)
RECONNECT_TO_BROKER_SECONDS: Final = (0.5, 30.0)  # the pauses grow while the broker is down


class SimulatedConnection(DeviceConnection):
    """A connection that loses what is in flight when it dies, and publishes through the simulated broker."""

    def __init__(
        self,
        name: str,
        devices: list[SimulatedDevice],
        context: ConnectionContext,
        *,
        session: BrokerSession,
        rng: SeededRandom,
    ) -> None:
        super().__init__(name, devices, context)
        self._session = session
        self._rng = rng
        self._keys = count()
        self._generation = 0  # of the connection; what belongs to an earlier one has no effect
        self._acknowledgements_lost = False
        self._data_lost = False
        self._in_flight: dict[int, Packet] = {}
        self._unacknowledged: list[Packet] = []
        self._latest_arrival: Millis = 0
        self._will: Packet | None = None  # registered with the broker
        self._pending_will: Packet | None = None  # the broker publishes it once it notices the loss

    def publish(self, packets: list[Packet]) -> None:
        for packet in packets:
            self._send(packet)

    def publish_foreign(self, topic: str, payload: bytes, what: str) -> None:
        """Publish a foreign payload, unless the broker is down."""
        if not self._broker_is_down:
            self._truth.extras.append((self._scheduler.now, topic, payload, what))
            self._session.receive(self._scheduler.now, topic, payload, qos=1, true_report=None)

    def stall(self, until: Millis) -> None:
        """Let the connection fail silently until it dies: first acknowledgements are lost, then all packets."""
        if self.uplink.online:
            generation = self._generation
            self._acknowledgements_lost = True
            data_lost_at = self._scheduler.now + round(self._rng.uniform(0, until - self._scheduler.now))
            self._scheduler.call_at(data_lost_at, lambda: self._lose_data(generation))

    def lose(self, reason: object, why: OutageCause, *, noticed_after: Millis) -> None:
        self.block_reasons.add(reason)
        if self.uplink.online:
            self._disconnect(why)
            self._schedule_will(noticed_after)
        self._generation += 1

    def shut_down(self, reason: object) -> None:
        self.block_reasons.add(reason)
        if self.uplink.online:
            self._disconnect("shutdown", drains=True)
        self._generation += 1

    def lose_broker(self, incident: BrokerLost) -> None:
        """Die with the broker, which publishes no Will any more."""
        self.block_reasons.add(incident)
        self._pending_will = None
        if self.uplink.online:
            self._disconnect("broker")
        self._generation += 1

    def allow(self, reason: object) -> None:
        self.block_reasons.discard(reason)
        self.connect_later(_reconnect_seconds(reason))

    def connect_later(self, seconds: tuple[float, float]) -> None:
        """Connect after a random delay within `seconds`, unless that is blocked by then."""
        if self.block_reasons or self.uplink.online:
            return
        self._generation += 1
        generation = self._generation
        self._scheduler.call_at(self._scheduler.now + self._rng.duration(*seconds), lambda: self._connect(generation))

    @property
    def _broker_is_down(self) -> bool:
        return any(isinstance(reason, BrokerLost) for reason in self.block_reasons)

    def _connect(self, generation: int) -> None:
        if generation != self._generation or self.block_reasons or self.uplink.online:
            return
        if self._pending_will is not None:  # the broker closes the old connection first
            self._publish_will(self._pending_will)
            self._pending_will = None
        self._acknowledgements_lost = self._data_lost = False
        self._will = self._boot()
        self.publish(self._connect_uplink())

    def _disconnect(self, why: OutageCause, *, drains: bool = False) -> None:
        """Take the uplink offline; unless it `drains`, what is in flight is lost or sent again."""
        if not drains:
            for packet in list(self._in_flight.values()):
                self._keep_unacknowledged(packet, arrived=False)
            self._in_flight.clear()
        unacknowledged, self._unacknowledged = self._unacknowledged, []
        self.uplink.disconnect(unacknowledged)
        for device in self.devices:
            self._outages.begin(device.name, why)

    def _schedule_will(self, noticed_after: Millis) -> None:
        will, self._will = self._will, None
        if will is None:
            return
        late = self.uplink.traits.late_will
        noticed_at = self._scheduler.now + noticed_after
        if late.ratio and self._rng.happens(late.ratio):
            self._scheduler.call_at(noticed_at + self._rng.duration(*late.seconds), lambda: self._publish_will(will))
        else:
            self._pending_will = will
            self._scheduler.call_at(noticed_at, lambda: self._notice_loss(will))

    def _send(self, packet: Packet) -> None:
        report = packet.true_report
        if report is not None:
            report.sent += 1
        if self._data_lost:
            self._keep_unacknowledged(packet, arrived=False)
            return
        traits, now = self._traits_of(packet), self._scheduler.now
        self._latest_arrival = max(self._latest_arrival, now + round(self._rng.uniform(*traits.latency_ms)))
        arrives, key, generation = self._latest_arrival, next(self._keys), self._generation
        if report is not None and traits.reorder.ratio and self._rng.happens(traits.reorder.ratio):
            arrives += self._rng.duration(*traits.reorder.seconds)
        self._in_flight[key] = packet
        self._scheduler.call_at(arrives, lambda: self._reach_broker(key))
        resendable = report is not None and self._may_resend(packet)
        if resendable and traits.resend.ratio and self._rng.happens(traits.resend.ratio):
            at = arrives + self._rng.duration(*traits.resend.seconds)
            self._scheduler.call_at(at, lambda: self._resend(packet, generation))

    def _resend(self, packet: Packet, generation: int) -> None:
        if self._generation == generation and packet.true_report is not None:
            packet.true_report.sent += 1
            self._deliver(packet)

    def _reach_broker(self, key: int) -> None:
        packet = self._in_flight.pop(key, None)
        if packet is None:
            return
        self._deliver(packet)
        if self._acknowledgements_lost:
            self._keep_unacknowledged(packet, arrived=True)

    def _deliver(self, packet: Packet) -> None:
        report = packet.true_report
        self._session.receive(self._scheduler.now, packet.topic, packet.payload, qos=packet.qos, true_report=report)
        if packet.retain:
            self._session.retain(packet.topic, packet.payload, report)

    def _keep_unacknowledged(self, packet: Packet, *, arrived: bool) -> None:
        """Keep an unacknowledged packet if the device may send it again; otherwise mark a lost report."""
        if self._may_resend(packet):
            self._unacknowledged.append(packet)
        elif not arrived and packet.true_report is not None and packet.true_report.arrived == 0:
            packet.true_report.fate = "qos 0" if packet.qos == 0 else "no identity"

    def _lose_data(self, generation: int) -> None:
        if self._generation == generation:
            self._data_lost = True

    def _notice_loss(self, will: Packet) -> None:
        if self._pending_will is will:
            self._pending_will = None
            self._publish_will(will)

    def _publish_will(self, will: Packet) -> None:
        self.publish_foreign(will.topic, will.payload, "will")


def _reconnect_seconds(reason: object) -> tuple[float, float]:
    match reason:
        case "power":
            return START_SECONDS
        case BrokerLost():
            return RECONNECT_TO_BROKER_SECONDS
        case _:
            return RECONNECT_SECONDS
