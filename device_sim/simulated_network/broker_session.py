"""The broker's session with the bridge, simulated: queue, packet identifiers, retained messages, redeliveries."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis
from device_sim.truth.truth import Fate, TrueReport

MqttVersion = Literal["5", "3.1.1"]
IDENTIFIERS: Final = 65_535


@dataclass(frozen=True, slots=True)
class ReceivedPublish:
    """One PUBLISH as the bridge's client receives it.

    `at` is true time in milliseconds since 1970; `topic` is relative to the root; `packet_id` is 0 with QoS 0.
    `number` is that of the report in `Truth.said`, or None for a payload that is not one; for tests only: no bridge can
    know it.
    """

    at: Millis
    topic: str
    payload: bytes
    retained: bool
    redelivered: bool
    packet_id: int
    number: int | None


class BrokerSession:
    """Delivers to one subscriber of all reports, with QoS 1, in order; queues what it cannot deliver."""

    def __init__(
        self,
        *,
        queue_limit: int,
        mqtt: MqttVersion,
        rng: SeededRandom,
        schedule_delivery: Callable[[ReceivedPublish], None],
    ) -> None:
        self.online = False
        self.holds_acknowledgements = False  # messages delivered now will be redelivered
        self._subscribed = False
        self._queue_limit = queue_limit
        self._mqtt = mqtt
        self._rng = rng
        self._schedule_delivery = schedule_delivery
        self._mid = 0
        self._latest: Millis = 0
        self._in_flight: dict[int, tuple[ReceivedPublish, TrueReport | None]] = {}
        self._queue: deque[tuple[str, bytes, TrueReport | None]] = deque()
        self._retained: dict[str, tuple[bytes, TrueReport | None]] = {}

    def retain(self, topic: str, payload: bytes, true_report: TrueReport | None = None) -> None:
        """Store a payload as the topic's retained message; an empty one clears it."""
        if payload:
            self._retained[topic] = (payload, true_report)
        else:
            self._retained.pop(topic, None)

    def receive(self, at: Millis, topic: str, payload: bytes, *, qos: int, true_report: TrueReport | None) -> None:
        """Receive a PUBLISH of a device: deliver, queue or drop it."""
        if self.online:
            self._deliver(at, topic, payload, qos=qos, true_report=true_report)
        elif not self._subscribed:
            _mark_lost(true_report, "session lost")
        elif qos == 0:  # Mosquitto: queue_qos0_messages is off
            _mark_lost(true_report, "qos 0")
        elif len(self._queue) >= self._queue_limit:
            _mark_lost(true_report, "queue full")
        else:
            self._queue.append((topic, payload, true_report))

    def complete_delivery(self, arrival: ReceivedPublish) -> bool:
        """Complete a delivery that is due; return False if the connection it was sent on is gone."""
        if arrival.packet_id == 0:
            return self.online
        delivery = self._in_flight.get(arrival.packet_id)
        if not self.online or delivery is None or delivery[0] is not arrival:
            return False
        if not self.holds_acknowledgements:
            del self._in_flight[arrival.packet_id]
        return True

    def disconnect(self) -> None:
        self.online = False

    def clear(self) -> None:
        """Drop the session and all retained messages."""
        for _, report in self._in_flight.values():
            _mark_lost(report, "session lost")
        for _, _, report in self._queue:
            _mark_lost(report, "session lost")
        self._in_flight.clear()
        self._queue.clear()
        self._retained.clear()
        self._subscribed = False

    def connect(self, at: Millis) -> None:
        """Connect and subscribe the bridge: redeliveries first, then the queue, then retained messages."""
        self.online, self.holds_acknowledgements = True, False
        self._latest = at
        unacknowledged, self._in_flight = self._in_flight, {}
        for arrival, report in unacknowledged.values():
            self._send(replace(arrival, at=self._next(at), redelivered=True), report)
        while self._queue:
            topic, payload, report = self._queue.popleft()
            self._deliver(at, topic, payload, qos=1, true_report=report)
        # MQTT 5, 3.3.1.3: retain handling 1 sends retained messages for a new subscription only
        if not self._subscribed or self._mqtt == "3.1.1":
            for topic, (payload, report) in self._retained.items():
                self._send(self._arrival(at, topic, payload, report, retained=True), report)
        self._subscribed = True

    def _deliver(self, at: Millis, topic: str, payload: bytes, *, qos: int, true_report: TrueReport | None) -> None:
        if qos == 0:
            number = None if true_report is None else true_report.number
            self._schedule_delivery(ReceivedPublish(self._next(at), topic, payload, False, False, 0, number))
            return
        self._send(self._arrival(at, topic, payload, true_report, retained=False), true_report)

    def _arrival(
        self, at: Millis, topic: str, payload: bytes, true_report: TrueReport | None, *, retained: bool
    ) -> ReceivedPublish:
        number = None if true_report is None else true_report.number
        return ReceivedPublish(self._next(at), topic, payload, retained, False, self._next_mid(), number)

    def _send(self, arrival: ReceivedPublish, true_report: TrueReport | None) -> None:
        self._in_flight[arrival.packet_id] = (arrival, true_report)
        self._schedule_delivery(arrival)

    def _next(self, at: Millis) -> Millis:
        self._latest = max(self._latest, at + round(self._rng.uniform(0.4, 4)))
        return self._latest

    def _next_mid(self) -> int:
        while True:
            self._mid = self._mid % IDENTIFIERS + 1
            if self._mid not in self._in_flight:
                return self._mid


def _mark_lost(true_report: TrueReport | None, fate: Fate) -> None:
    if true_report is not None and true_report.arrived == 0:
        true_report.fate = fate
