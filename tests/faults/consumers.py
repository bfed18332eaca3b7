"""Who listens while things break: a plain MQTT consumer, and a dashboard that resumes as protocol.md says."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import websockets

from bridge.mqtt.link import BrokerLink
from tests.support.bridge_process import RunningFloor
from tests.support.brokers import RunningBroker, client_settings, linked


@dataclass
class Consumer:
    """Every event that came by MQTT."""

    got: dict[int, int] = field(default_factory=dict)  # offset -> hash of its bytes; in the order they first came
    repeats: int = 0
    differing: list[int] = field(default_factory=list)  # offsets that came again with other bytes
    beforehand: set[int] = field(default_factory=set)  # offsets that were found retained before they came as news
    _retained: set[int] = field(default_factory=set)

    async def read(self, link: BrokerLink) -> None:
        while True:
            messages = await link.receive(most=100)
            for each in messages:
                if each.payload:
                    self._take(each.payload, retained=each.retained)
            link.acknowledge(messages)

    def _take(self, body: bytes, *, retained: bool) -> None:
        offset, content = json.loads(body)["offset"], hash(body)
        if retained:  # those come with every subscription, in any order
            self._retained.add(offset)
            return
        if offset not in self.got and offset in self._retained:
            self.beforehand.add(offset)
        if offset in self.got:
            self.repeats += 1
            if self.got[offset] != content:
                self.differing.append(offset)
        self.got[offset] = content


@contextlib.asynccontextmanager
async def consumer(broker: RunningBroker) -> AsyncIterator[Consumer]:
    link = BrokerLink(
        client_settings(broker), client_id="a-consumer", durable=True, subscriptions=[("floor/v1/event/#", 1)]
    )
    async with linked(link):
        this = Consumer()
        reading = asyncio.create_task(this.read(link), name="consumer")
        try:
            yield this
        finally:
            reading.cancel()


@dataclass
class Dashboard:
    """A subscriber to everything that connects again, resumes, and drops repeated ids."""

    floor: RunningFloor
    delivered: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, int] = field(default_factory=dict)  # id -> hash of the bytes it was delivered as
    latest: dict[tuple[str, ...], int] = field(default_factory=dict)  # state key as protocol.md has it -> newest offset
    at: int = 0
    resumed: int = 0
    live: bool = False  # as the last `link` said; not while there is no connection

    @property
    def positioned(self) -> bool:
        """Whether it has a position to resume from."""
        return bool(self._since)

    @property
    def epoch(self) -> str:
        """Of its last position."""
        return str(self._since["main"]["epoch"])

    _since: dict[str, Any] = field(default_factory=dict)
    _after_position: dict[str, int] = field(default_factory=dict)  # id -> offset

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with websockets.connect(f"ws://127.0.0.1:{self.floor.port}/ws", close_timeout=0.2) as socket:
                    await self._follow(socket)
            self.live = False
            await asyncio.sleep(0.05)

    async def _follow(self, socket: websockets.ClientConnection) -> None:
        await socket.send(json.dumps({"type": "auth", "token": self.floor.token()}))
        subscription = {"id": "all", "subscription_type": "line"}
        if self._since:
            await socket.send(json.dumps({"type": "resume", "subscriptions": [subscription], "since": self._since}))
        else:
            await socket.send(json.dumps({"type": "subscribe", **subscription}))
        async for text in socket:
            self._take(str(text), json.loads(text))

    def _take(self, text: str, frame: dict[str, Any]) -> None:
        if "offset" in frame:
            if frame["id"] not in self._after_position:
                self.delivered[frame["id"]] += 1
            self._after_position[frame["id"]] = frame["offset"]
            self.bodies[frame["id"]] = hash(text.encode())
            key = (frame["line_id"], frame["equipment_code"] or "_", frame["category"], frame["subject"])
            self.latest[key] = max(self.latest.get(key, 0), frame["offset"])
        elif frame["type"] == "position":
            self._since, self.at = frame["streams"], frame["streams"]["main"]["offset"]
            self._after_position = {key: at for key, at in self._after_position.items() if at > self.at}
        elif frame["type"] == "resumed":
            assert frame["streams"]["main"]["recovered"]
            self.resumed += 1
        elif frame["type"] == "link":
            self.live = frame["broker"] and frame["streams"]["main"]["live"]


@contextlib.asynccontextmanager
async def dashboard(floor: RunningFloor) -> AsyncIterator[Dashboard]:
    this = Dashboard(floor)
    running = asyncio.create_task(this.run(), name="dashboard")
    try:
        yield this
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
