"""One device's connection to the broker: birth, reports in order, a Will, and a way back when the broker is gone."""

import asyncio
import random
import time
from collections import deque
from typing import Final, Protocol

import aiomqtt

from device_sim.chance import Millis
from device_sim.messages import Message, Stamp, lamp_topic
from device_sim.plant import Plant
from device_sim.wire import Broker

MAILBOX: Final = 1_000  # reports one device keeps while the broker is slow or away; bounds the simulator's memory
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
LAMP_WORDS: Final = frozenset({"off", "open", "acknowledged"})


class Audience(Protocol):
    """Who is told what happens; the simulator goes on whether or not anybody looks."""

    def said(self, message: Message) -> None: ...

    def lamp(self, station: str, andon_type: str, word: str) -> None: ...

    def link(self, device: str, *, online: bool) -> None: ...


class Mailbox:
    """What a device has to send: in order, bounded; actions stay while the broker is away, the rest is superseded."""

    def __init__(self) -> None:
        self.dropped = 0
        self.closed = False
        self._waiting: deque[Message] = deque()
        self._changed = asyncio.Event()

    def post(self, message: Message, *, online: bool) -> None:
        if not online and not message.is_action:
            self.dropped += 1
            return
        if len(self._waiting) >= MAILBOX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)
        self._changed.set()

    def close(self) -> None:
        self.closed = True
        self._changed.set()

    def keep_actions(self) -> None:
        """Drop what the next birth says anyway."""
        kept = [message for message in self._waiting if message.is_action]
        self.dropped += len(self._waiting) - len(kept)
        self._waiting = deque(kept)

    async def first(self) -> Message | None:
        """Wait for a message and return it without taking it; None when closed and empty."""
        while not self._waiting:
            if self.closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting[0]

    def sent(self, message: Message) -> None:
        """Take a message that the broker has acknowledged."""
        if self._waiting and self._waiting[0] is message:
            self._waiting.popleft()


class Link:
    def __init__(self, device: str, plant: Plant, broker: Broker, audience: Audience, *, timestamps: bool) -> None:
        self.device = device
        self.mailbox = Mailbox()
        self.online = asyncio.Event()
        self._plant = plant
        self._broker = broker
        self._audience = audience
        self._identity = plant.identity(device)
        self._timestamps = timestamps
        self._boot_id: Millis = 0

    def post(self, message: Message) -> None:
        self.mailbox.post(message, online=self.online.is_set())

    async def run(self) -> None:
        """Stay connected until the mailbox is closed and empty; then say goodbye."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._connect_and_talk()
            except* (aiomqtt.MqttError, TimeoutError):
                if self.online.is_set():
                    pause = FIRST_PAUSE
                self._lost()
            else:
                return
            if self.mailbox.closed:
                return  # nobody there to say goodbye to: the Will speaks
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - spreads 15 devices, guards nothing
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _connect_and_talk(self) -> None:
        stamp = Stamp(self._next_boot(), timestamps=self._timestamps)
        death = self._plant.death(self.device)
        will = aiomqtt.Will(self._topic(death.topic), Stamp(stamp.boot_id).payload(death), qos=1, retain=False)
        version = self._broker.version.candidates()[0]
        async with self._broker.client(self._identity, version, will=will) as client, asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(self._listen(client), name=f"{self.device} listens")
            await self._talk(client, stamp)
            listener.cancel()

    async def _talk(self, client: aiomqtt.Client, stamp: Stamp) -> None:
        for message in self._plant.birth(self.device):
            await self._publish(client, stamp, message)
        self.online.set()
        self._audience.link(self.device, online=True)
        while (waiting := await self.mailbox.first()) is not None:
            await self._publish(client, stamp, waiting)
            self.mailbox.sent(waiting)
        await self._publish(client, stamp, self._plant.death(self.device))

    async def _publish(self, client: aiomqtt.Client, stamp: Stamp, message: Message) -> None:
        await client.publish(self._topic(message.topic), stamp.payload(message), qos=1)

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Read the lamps of a station; for any device, notice that the broker has gone."""
        line = self._plant.line_of(self.device)
        if self.device in line.crew.stations:
            spec = line.spec
            lamps = self._topic(lamp_topic(self._plant.spec.site, spec.area, spec.id, self.device, "+"))
            await client.subscribe(lamps, qos=1)
        async for message in client.messages:
            word = message.payload.decode(errors="replace")
            if word in LAMP_WORDS:
                self._audience.lamp(self.device, str(message.topic).rpartition("/")[2], word)

    def _lost(self) -> None:
        if self.online.is_set():
            self.online.clear()
            self._audience.link(self.device, online=False)
        self.mailbox.keep_actions()

    def _next_boot(self) -> Millis:
        """Return a boot_id above the last one: a Will that comes late is known by its older one."""
        self._boot_id = max(self._boot_id + 1, time.time_ns() // 1_000_000)
        return self._boot_id

    def _topic(self, relative: str) -> str:
        return f"{self._broker.root}/{relative}"


async def publish_once(broker: Broker, identity: str, *, client_id: str, topic: str, payload: bytes) -> None:
    """Publish one report under a connection of its own; raises `WireError` where the broker cannot be used."""
    version = await broker.find_version(identity, client_id=client_id)
    async with broker.client(identity, version, client_id=client_id, will=None) as client:
        await client.publish(f"{broker.root}/{topic}", payload, qos=1)
