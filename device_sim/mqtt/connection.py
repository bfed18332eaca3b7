"""A real connection of a device or a gateway to the broker: birth, reports in order, a Will, reconnects."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

import aiomqtt

from device_sim.devices.connection import ConnectionContext, DeviceConnection
from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.uplink import Gateway
from device_sim.display.display import Display
from device_sim.mqtt.broker_access import BrokerAccess
from device_sim.mqtt.client import sever
from device_sim.mqtt.outbox import DeviceOutbox
from device_sim.reports import lamp_topic
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import SECOND, Millis
from device_sim.truth.truth import OutageCause

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
LAMP_STATES: Final = frozenset({"off", "open", "acknowledged"})


class MqttConnection(DeviceConnection):
    """Runs an uplink on an MQTT connection; unacknowledged and stored packets follow the next birth."""

    def __init__(
        self,
        name: str,
        devices: list[SimulatedDevice],
        context: ConnectionContext,
        *,
        broker: BrokerAccess,
        display: Display,
        scale: float,
    ) -> None:
        super().__init__(name, devices, context)
        self.online = asyncio.Event()
        self._outbox = DeviceOutbox()
        self._broker = broker
        self._display = display
        self._scale = scale
        self._rng = SeededRandom(context.truth.seed, f"link/{name}")
        self._allowed = asyncio.Event()
        self._allowed.set()
        self._closed = False
        self._client: aiomqtt.Client | None = None
        self._will: Packet | None = None
        self._latest_due = 0.0

    def publish(self, packets: list[Packet]) -> None:
        now = asyncio.get_running_loop().time()
        for packet in packets:
            traits = self._traits_of(packet)
            low, high = traits.latency_ms if traits.latency_ms[1] > 50 else (0.0, 0.0)  # the real network adds its own
            self._latest_due = max(self._latest_due, now + self._real_seconds(self._rng.uniform(low, high) / SECOND))
            due = self._latest_due
            if packet.true_report is not None and self._rng.happens(traits.reorder.ratio):
                due += self._real_seconds(self._rng.uniform(*traits.reorder.seconds))
            self._outbox.put(packet, due)
            resendable = packet.true_report is not None and self._may_resend(packet)
            if resendable and self._rng.happens(traits.resend.ratio):
                resend_due = due + self._real_seconds(self._rng.uniform(*traits.resend.seconds))
                self._outbox.put(packet, resend_due, is_copy=True)

    def publish_foreign(self, topic: str, payload: bytes, what: str) -> None:
        """Publish a foreign payload over the device's own connection, if that is online."""
        if self.uplink.online:
            self._truth.extras.append((self._scheduler.now, topic, payload, what))
            self.publish([Packet(None, topic, payload)])

    def lose(self, reason: object, why: OutageCause, *, noticed_after: Millis) -> None:
        """Stop sending; close the connection without a DISCONNECT after `noticed_after`, in simulated time."""
        self._block(reason)
        client, will = self._client, self._will
        self._requeue_unsent(why)
        noticed_seconds = noticed_after / SECOND
        if client is not None:
            self._call_later(noticed_seconds, lambda: self._sever(client))
        late = self.uplink.traits.late_will
        if will is not None and late.ratio and self._rng.happens(late.ratio):
            seconds = noticed_seconds + self._rng.uniform(*late.seconds)
            self._call_later(seconds, lambda: self.publish_foreign(will.topic, will.payload, "late will"))

    def shut_down(self, reason: object) -> None:
        self._block(reason)
        self._outbox.close()
        self._mark_offline("shutdown")

    def allow(self, reason: object) -> None:
        """Remove a reason not to connect; after the last one, close a stalled connection and reconnect."""
        self.block_reasons.discard(reason)
        if not self.block_reasons:
            if self._client is not None and not self.uplink.online:
                self._sever(self._client)
            self._allowed.set()

    def close(self) -> None:
        """Publish the deaths of powered devices, then close the connection for good."""
        self._closed = True
        if self.uplink.online:
            for device in self.devices:
                if device.powered:
                    message = self._plant.death_message(device.name)
                    self.submit(device, device.record_report(message, self._scheduler.now), message)
            if isinstance(self.uplink, Gateway):
                self.publish([self.uplink.will_packet()])
        self._outbox.close()
        self._allowed.set()

    async def run(self) -> None:
        """Stay connected until `close`; wait while there are reasons not to connect."""
        pause = FIRST_PAUSE
        while True:
            await self._allowed.wait()
            if self.block_reasons:
                return  # closed meanwhile
            self._outbox.reopen()
            try:
                await self._run_client()
            except* (aiomqtt.MqttError, TimeoutError):
                if self.online.is_set():
                    pause = FIRST_PAUSE
                self._requeue_unsent("link")
            finally:
                self._client = None
                self.online.clear()
            if self._closed:
                return  # if the connection was lost, the broker publishes the Will
            if not self.block_reasons:
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - spreads 15 reconnects, no secret
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _run_client(self) -> None:
        self._will = self._boot()
        will = aiomqtt.Will(self._under_root(self._will.topic), self._will.payload, qos=1, retain=False)
        version = self._broker.version.candidates()[0]
        async with (
            self._broker.build_client(self._identity(), version, will=will) as client,
            asyncio.TaskGroup() as tasks,
        ):
            listener = tasks.create_task(self._listen(client), name=f"{self.name} listens")
            self._client = client
            self.publish(self._connect_uplink())
            await self._send_queued(client)
            listener.cancel()

    async def _send_queued(self, client: aiomqtt.Client) -> None:
        while (entry := await self._outbox.next()) is not None:
            packet, report = entry.packet, entry.packet.true_report
            if report is not None:
                report.sent += 1
            await client.publish(self._under_root(packet.topic), packet.payload, qos=packet.qos, retain=packet.retain)
            if report is not None and report.fate == "on the way":
                report.fate = "published"
            if not self.online.is_set() and self.uplink.online:
                self.online.set()
                for device in self.devices:
                    self._display.show_link(device.name, online=True, planned=False)

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Show the lamps of stations; raises `MqttError` when the connection is lost."""
        line = self._plant.line_of(self.devices[0].name)
        for device in self.devices:
            if device.name in line.crew.stations:
                lamps = lamp_topic(self._plant.spec.site, line.spec.area, line.spec.id, device.name, "+")
                await client.subscribe(self._under_root(lamps), qos=1)
        async for message in client.messages:
            state = message.payload.decode(errors="replace")
            if state in LAMP_STATES:
                station, andon_type = str(message.topic).split("/")[-2:]
                self._display.show_lamp(station, andon_type, state)

    def _block(self, reason: object) -> None:
        self.block_reasons.add(reason)
        self._allowed.clear()

    def _requeue_unsent(self, why: OutageCause) -> None:
        """Take the uplink offline: keep what may be sent again, mark the rest as lost."""
        if not self.uplink.online:
            return
        in_flight, waiting = self._outbox.drain()
        unacknowledged = [packet for packet in waiting if packet.qos == 1]
        lost = [packet for packet in waiting if packet.qos == 0]
        if in_flight is not None:
            if self._may_resend(in_flight):
                unacknowledged.insert(0, in_flight)
            elif in_flight.qos == 0:
                lost.append(in_flight)
            elif in_flight.true_report is not None:
                in_flight.true_report.fate = "no identity"  # it may have arrived
        for packet in lost:
            if packet.true_report is not None and packet.true_report.fate == "on the way":
                packet.true_report.fate = "qos 0"
        self.uplink.disconnect(unacknowledged)
        self._mark_offline("gateway" if isinstance(self.uplink, Gateway) and why == "link" else why)

    def _mark_offline(self, why: OutageCause) -> None:
        self.uplink.online = False
        was_online = self.online.is_set()
        self.online.clear()
        for device in self.devices:
            self._outages.begin(device.name, why)
            if was_online:
                self._display.show_link(device.name, online=False, planned=bool(self.block_reasons))

    def _sever(self, client: aiomqtt.Client) -> None:
        if client is self._client:
            sever(client)

    def _identity(self) -> str:
        first = self.devices[0].name
        if isinstance(self.uplink, Gateway):
            return self._plant.spec.identity(self._plant.line_of(first).spec, None)
        return self._plant.identity(first)

    def _call_later(self, simulated_seconds: float, action: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self._real_seconds(simulated_seconds), action)

    def _real_seconds(self, simulated_seconds: float) -> float:
        return simulated_seconds / self._scale

    def _under_root(self, relative: str) -> str:
        return f"{self._broker.root}/{relative}"
