"""A dashboard that reconnects, resumes as protocol.md requires, and records every delivered event."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import websockets

from bridge.domain.events import CONFLATED_TYPES
from tests.support.bridge_process import BridgeProcess
from tests.support.brokers import until
from tests.support.dashboard import Frame
from tests.support.socket_dashboard import SocketDashboard, connected

ALL = {"id": "all", "subscription_type": "line"}


@dataclass
class ResumingSubscriber:
    """Subscribes to everything at a front, and drops repeated ids."""

    front: BridgeProcess
    delivered: Counter[str] = field(default_factory=Counter)
    order: list[int] = field(default_factory=list)  # offsets of lossless events, as they first came
    bodies: dict[str, int] = field(default_factory=dict)  # id -> hash of the bytes it was delivered as
    latest: dict[tuple[str, ...], int] = field(default_factory=dict)  # state key as protocol.md has it -> newest offset
    begun: int = 0  # the offset of its first snapshot: what was committed before and is past then is owed to nobody
    at: int = 0
    connections: int = 0
    resumed: int = 0
    live: bool = False  # as the last `link` has it; not while there is no connection
    _since: dict[str, Any] = field(default_factory=dict)
    _after_position: dict[str, int] = field(default_factory=dict)  # id -> offset
    _board: SocketDashboard | None = None

    @property
    def positioned(self) -> bool:
        """Return whether it has a position to resume from."""
        return bool(self._since)

    @property
    def epoch(self) -> str:
        """Return the epoch of its last position."""
        return str(self._since["main"]["epoch"])

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with connected(self.front.port, close_timeout=0.2) as self._board:
                    self.connections += 1
                    await self._follow(self._board)
            self.live = False
            await asyncio.sleep(0.05)

    async def move_to(self, front: BridgeProcess) -> None:
        """Leave, and come back to this front."""
        assert self._board is not None
        connections, self.front = self.connections, front
        await self._board.disconnect()
        await until(lambda: self.connections > connections and self.live, seconds=20, what="connected to the other one")

    async def something_new(self) -> None:
        at = self.at
        await until(lambda: self.at > at, seconds=20, what="something new")

    async def _follow(self, board: SocketDashboard) -> None:
        await board.send("auth", token=self.front.token())
        if self._since:
            await board.send("resume", subscriptions=[ALL], since=self._since)
        else:
            await board.send("subscribe", **ALL)
        while True:
            text = await board.receive_text()
            self._take(json.loads(text), text)

    def _take(self, frame: Frame, text: str) -> None:
        if "offset" in frame:
            self._take_event(frame, text)
        elif frame["type"] == "position":
            self._since, self.at = frame["streams"], frame["streams"]["main"]["offset"]
            self._after_position = {key: at for key, at in self._after_position.items() if at > self.at}
        elif frame["type"] == "snapshot_begin":
            if not self._since:
                self.begun = frame["positions"]["main"]["offset"]
        elif frame["type"] == "resumed":
            assert frame["streams"]["main"]["recovered"]
            self.resumed += 1
        elif frame["type"] == "link":
            self.live = frame["broker"] and frame["streams"]["main"]["live"]

    def _take_event(self, event: Frame, text: str) -> None:
        if event["type"] not in CONFLATED_TYPES and not self.delivered[event["id"]]:
            self.order.append(event["offset"])
        if event["id"] not in self._after_position:
            self.delivered[event["id"]] += 1
        self._after_position[event["id"]] = event["offset"]
        self.bodies[event["id"]] = hash(text.encode())
        key = (event["line_id"], event["equipment_code"] or "_", event["category"], event["subject"])
        self.latest[key] = max(self.latest.get(key, 0), event["offset"])


@contextlib.asynccontextmanager
async def subscribers(*fronts: BridgeProcess) -> AsyncIterator[list[ResumingSubscriber]]:
    """Run one at each of these fronts."""
    started = [ResumingSubscriber(front) for front in fronts]
    tasks = [asyncio.create_task(subscriber.run(), name="subscriber") for subscriber in started]
    try:
        yield started
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [end for end in ends if isinstance(end, Exception)]
