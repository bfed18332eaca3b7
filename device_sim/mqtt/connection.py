"""A real connection of a device or a gateway to the broker: birth, reports in order, a Will, reconnects."""

import asyncio
import random
import time
from typing import Final, Protocol

import aiomqtt

from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.uplink import Gateway, Uplink
from device_sim.mqtt.broker_access import BrokerAccess, sever
from device_sim.mqtt.outbox import DeviceOutbox
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage, lamp_topic, report_topic
from device_sim.scheduler import Scheduler
from device_sim.seeded_random import SECOND, Millis, SeededRandom
from device_sim.truth.outage_log import OutageLog
from device_sim.truth.truth import OutageCause, TrueReport, Truth

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
LAMP_PAYLOADS: Final = frozenset({"off", "open", "acknowledged"})


class Display(Protocol):
    """The output of a run: reports, lamps, connections and notes."""

    def show_report(self, message: ReportMessage) -> None: ...

    def show_lamp(self, station: str, andon_type: str, word: str) -> None: ...

    def show_link(self, device: str, *, online: bool, planned: bool = False) -> None: ...

    def show_note(self, at: Millis, text: str) -> None: ...


class DeviceLink:
    """Runs an uplink on a connection of its own; unacknowledged and stored packets follow the next birth."""

    def __init__(
        self, uplink: Uplink, devices: list[SimulatedDevice], plant: SimulatedPlant, *, broker: BrokerAccess,
        display: Display, scheduler: Scheduler, truth: Truth, scale: float,
    ) -> None:  # fmt: skip
        self.uplink = uplink
        self.devices = devices
        self.online = asyncio.Event()
        self.outbox = DeviceOutbox()
        self.block_reasons: set[object] = set()  # reasons not to connect
        self._plant = plant
        self._broker = broker
        self._display = display
        self._scheduler = scheduler
        self._truth = truth
        self._scale = scale
        self._chance = SeededRandom(truth.seed, f"link/{uplink.name}")
        self._allowed = asyncio.Event()
        self._allowed.set()
        self._closed = False
        self._client: aiomqtt.Client | None = None
        self._will: Packet | None = None
        self._latest_due = 0.0
        self._outages = OutageLog(truth, scheduler)

    @property
    def name(self) -> str:
        return self.uplink.name

    def publish(self, packets: list[Packet]) -> None:
        """Queue packets, with the delays, reorders and resends of their device's traits."""
        now = asyncio.get_running_loop().time()
        for packet in packets:
            traits = (
                self.uplink.traits if packet.true_report is None else self._device(packet.true_report.device).traits
            )
            low, high = traits.latency_ms if traits.latency_ms[1] > 50 else (0.0, 0.0)  # the real network adds its own
            self._latest_due = max(self._latest_due, now + self._real_seconds(self._chance.uniform(low, high) / SECOND))
            due = self._latest_due
            if packet.true_report is not None and self._chance.happens(traits.reorder.ratio):
                due += self._real_seconds(self._chance.uniform(*traits.reorder.seconds))
            self.outbox.put(packet, due)
            may_resend = packet.true_report is not None and packet.qos == 1 and traits.has_identity
            if may_resend and self._chance.happens(traits.resend.ratio):
                again = due + self._real_seconds(self._chance.uniform(*traits.resend.seconds))
                self.outbox.put(packet, again, is_copy=True)

    def lose_connection(self, reason: object, why: OutageCause, *, noticed_after: Millis) -> None:
        """Stop sending; close the connection without a DISCONNECT after `noticed_after`, in simulated time."""
        self.block_reasons.add(reason)
        self._allowed.clear()
        client, will = self._client, self._will
        self._requeue_unsent(why)
        if client is not None:
            asyncio.get_running_loop().call_later(self._real_seconds(noticed_after / SECOND), self._sever, client)
        late = self.uplink.traits.late_will
        if will is not None and late.ratio and self._chance.happens(late.ratio):
            wait = self._real_seconds(noticed_after / SECOND + self._chance.uniform(*late.seconds))
            asyncio.get_running_loop().call_later(wait, self._publish_late_will, will)

    def disconnect(self, reason: object) -> None:
        """Send what is queued, then close the connection with a DISCONNECT."""
        self.block_reasons.add(reason)
        self._allowed.clear()
        self.outbox.close()
        self._mark_offline("shutdown")

    def allow_connection(self, reason: object) -> None:
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
                    self.publish(
                        self.uplink.submit(device, device.record_report(message, self._scheduler.now), message)
                    )
            if isinstance(self.uplink, Gateway):
                self.publish([self.uplink.will_packet()])
        self.outbox.close()
        self._allowed.set()

    async def run(self) -> None:
        """Stay connected until `close`; wait while there are reasons not to connect."""
        pause = FIRST_PAUSE
        while True:
            await self._allowed.wait()
            if self.block_reasons:
                return  # closed meanwhile
            self.outbox.reopen()
            try:
                await self._run_connection()
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

    async def _run_connection(self) -> None:
        now = time.time_ns() // 1_000_000  # real time: a later run's boot_id must exceed that of a faster one before
        if isinstance(self.uplink, Gateway):
            self.uplink.boot(now)
            self._will = self.uplink.will_packet()
        else:
            self.devices[0].boot(now)
            self._will = Packet(None, self._topic(self.devices[0], "death"), self.devices[0].will_payload())
        will = aiomqtt.Will(self._under_root(self._will.topic), self._will.payload, qos=1, retain=False)
        version = self._broker.version.candidates()[0]
        async with (
            self._broker.build_client(self._identity(), version, will=will) as client,
            asyncio.TaskGroup() as tasks,
        ):
            listener = tasks.create_task(self._listen(client), name=f"{self.name} listens")
            self._client = client
            self.publish(self._birth_packets())
            await self._send_queued(client)
            listener.cancel()

    def _birth_packets(self) -> list[Packet]:
        for device in self.devices:
            self._outages.end(device.name)
        if isinstance(self.uplink, Gateway):
            return self.uplink.connect_gateway()
        (device,) = self.devices
        return self.uplink.connect(device, self.birth_reports(device))

    def birth_reports(self, device: SimulatedDevice) -> list[tuple[TrueReport, ReportMessage]]:
        """Return the birth of a device and the reports that follow it."""
        machine, now = self._plant.machine(device.name), self._scheduler.now
        made = None if machine is None else machine.made
        return [
            (device.record_report(each, now, made, standing=True), each)
            for each in self._plant.birth_messages(device.name)
        ]

    async def _send_queued(self, client: aiomqtt.Client) -> None:
        while (entry := await self.outbox.next()) is not None:
            packet = entry.packet
            if packet.true_report is not None:
                packet.true_report.sent += 1
            await client.publish(self._under_root(packet.topic), packet.payload, qos=packet.qos, retain=packet.retain)
            if packet.true_report is not None and packet.true_report.fate == "on the way":
                packet.true_report.fate = "published"
            if not self.online.is_set() and self.uplink.online:
                self.online.set()
                for device in self.devices:
                    self._display.show_link(device.name, online=True, planned=False)

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Show the lamps of stations; raise `MqttError` when the connection is lost."""
        spec = self._plant.line_of(self.devices[0].name)
        for device in self.devices:
            if device.name in spec.crew.stations:
                lamps = lamp_topic(self._plant.spec.site, spec.spec.area, spec.spec.id, device.name, "+")
                await client.subscribe(self._under_root(lamps), qos=1)
        async for message in client.messages:
            word = message.payload.decode(errors="replace")
            if word in LAMP_PAYLOADS:
                station, andon_type = str(message.topic).split("/")[-2:]
                self._display.show_lamp(station, andon_type, word)

    def _requeue_unsent(self, why: OutageCause) -> None:
        """Take the uplink offline: keep what may be sent again, mark the rest as lost."""
        if not self.uplink.online:
            return
        current, waiting = self.outbox.drain()
        owed = [packet for packet in waiting if packet.qos == 1]
        lost = [packet for packet in waiting if packet.qos == 0]
        if current is not None:
            said = current.true_report
            identified = said is None or self._device(said.device).traits.has_identity
            if current.qos == 1 and identified:
                owed.insert(0, current)
            elif current.qos == 1 and said is not None:
                said.fate = "no identity"  # it may have arrived
            else:
                lost.append(current)
        for packet in lost:
            if packet.true_report is not None and packet.true_report.fate == "on the way":
                packet.true_report.fate = "qos 0"
        self.uplink.disconnect(owed)
        self._mark_offline("gateway" if isinstance(self.uplink, Gateway) and why == "link" else why)

    def _mark_offline(self, why: OutageCause) -> None:
        self.uplink.online = False
        was_online = self.online.is_set()
        self.online.clear()
        for device in self.devices:
            self.begin_outage(device, why)
            if was_online:
                self._display.show_link(device.name, online=False, planned=bool(self.block_reasons))

    def begin_outage(self, device: SimulatedDevice, why: OutageCause) -> None:
        self._outages.begin(device.name, why)

    def _sever(self, client: aiomqtt.Client) -> None:
        if client is self._client:
            sever(client)

    def _publish_late_will(self, will: Packet) -> None:
        if self.uplink.online:
            self._truth.extras.append((self._scheduler.now, will.topic, will.payload, "late will"))
            self.publish([will])

    def _identity(self) -> str:
        first = self.devices[0].name
        if isinstance(self.uplink, Gateway):
            return self._plant.spec.identity(self._plant.line_of(first).spec, None)
        return self._plant.identity(first)

    def _device(self, name: str) -> SimulatedDevice:
        return next(device for device in self.devices if device.name == name)

    def _topic(self, device: SimulatedDevice, kind: str) -> str:
        line = self._plant.line_of(device.name).spec
        return report_topic(self._plant.spec.site, line.area, line.id, device.name, kind)

    def _real_seconds(self, simulated_seconds: float) -> float:
        return simulated_seconds / self._scale

    def _under_root(self, relative: str) -> str:
        return f"{self._broker.root}/{relative}"
