"""Frames that a dashboard sends and awaits, over any transport. Source: protocol.md; uses no code of the bridge.

`MemoryDashboard`, `SocketDashboard` and `BytesDashboard` carry them, so a test changes its transport and nothing else.
They check nothing by themselves: `CheckedDashboard` does, with `ReferenceDashboard` as its memory.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

PATIENCE: Final = 20.0  # seconds until a frame that does not come fails a test
UNASKED: Final = ("position", "link")
Frame = dict[str, Any]


class Dashboard(ABC):
    """One connection. Frames are looked for in the order in which they came, each once."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.texts: list[str] = []
        self.on_text: Callable[[str], None] = lambda _: None  # called with each message that came
        self._looked_at = 0  # so many of the frames

    # What carries it.

    @abstractmethod
    async def send_text(self, text: str | bytes) -> None:
        """Send one message as it is; bytes as a binary one."""

    @abstractmethod
    async def read(self) -> None:
        """Wait for the next frames, and record them."""

    @abstractmethod
    async def closed(self, *, seconds: float = PATIENCE) -> tuple[int, str]:
        """Read to the end; returns the close code and its reason."""

    @abstractmethod
    async def disconnect(self) -> None:
        """End the connection from this side."""

    # Verbs.

    async def send(self, frame: str | Frame, /, **fields: object) -> None:
        """Send a frame, named by its type or given as a whole; `fields` add to it."""
        message = {"type": frame} if isinstance(frame, str) else frame
        await self.send_text(json.dumps({**message, **fields}))

    async def receive(self, kind: str, *, seconds: float = PATIENCE, **fields: object) -> Frame:
        """Wait for the next frame of this type with these fields; `data__status` looks inside."""

        def is_wanted(frame: Frame) -> bool:
            return frame["type"] == kind and has(frame, fields)

        return await self._next(is_wanted, f"{kind} with {fields}", seconds)

    async def receive_event(self) -> Frame:
        """Wait for the next event, of any type."""
        return await self._next(is_event, "event", PATIENCE)

    async def ask(self, question: str | Frame, answer: str, /, **fields: object) -> Frame:
        """Send a frame and wait for its answer, a frame of the type `answer`."""
        await self.send(question, **fields)
        return await self.receive(answer)

    async def snapshot(self, **subscription: object) -> list[Frame]:
        """Subscribe, and return the events between `snapshot_begin` and `snapshot_end`."""
        confirmed = await self.ask("subscribe", "subscription_confirmed", **subscription)
        return await self.receive_snapshot(confirmed["id"])

    async def receive_snapshot(self, name: str) -> list[Frame]:
        """Return the events of the next snapshot of this subscription."""
        await self.receive("snapshot_begin", id=name)
        begin = self._looked_at
        end = await self.receive("snapshot_end", id=name)
        events = [frame for frame in self.frames[begin : self._looked_at - 1] if is_event(frame)]
        assert end["count"] == len(events)
        return events

    async def until(self, condition: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
        """Read until `condition` is true."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.read()

    # What came so far, whether it was looked at or not.

    @property
    def events(self) -> list[Frame]:
        return [frame for frame in self.frames if is_event(frame)]

    @property
    def offsets(self) -> list[int]:
        """Offsets of all events in the order they came, those of snapshots included."""
        return [event["offset"] for event in self.events]

    @property
    def live_offsets(self) -> list[int]:
        """Offsets of the events outside of snapshots."""
        offsets, inside = [], False
        for frame in self.frames:
            inside = frame["type"] == "snapshot_begin" or (inside and frame["type"] != "snapshot_end")
            if is_event(frame) and not inside:
                offsets.append(frame["offset"])
        return offsets

    @property
    def types(self) -> list[str]:
        """Types of all frames but those that come by the clock."""
        return [frame["type"] for frame in self.frames if frame["type"] not in UNASKED]

    def first(self, kind: str) -> Frame:
        return next(frame for frame in self.frames if frame["type"] == kind)

    def last(self, kind: str) -> Frame:
        return next(frame for frame in reversed(self.frames) if frame["type"] == kind)

    def keep(self, text: str) -> list[Frame]:
        """Keep a message that came: a frame, or an array of them."""
        decoded = json.loads(text)
        frames: list[Frame] = decoded if isinstance(decoded, list) else [decoded]
        self.texts.append(text)
        self.frames += frames
        self.on_text(text)
        return frames

    async def _next(self, is_wanted: Callable[[Frame], bool], expected: str, seconds: float) -> Frame:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    while self._looked_at < len(self.frames):
                        self._looked_at += 1
                        if is_wanted(self.frames[self._looked_at - 1]):
                            return self.frames[self._looked_at - 1]
                    await self.read()
        except TimeoutError:
            latest = [(frame["type"], frame.get("subject") or frame.get("id")) for frame in self.frames[-30:]]
            raise AssertionError(f"no {expected} within {seconds} s; the latest frames: {latest}") from None


def is_event(frame: Frame) -> bool:
    return "offset" in frame and "subject" in frame


def has(frame: Frame, fields: dict[str, object]) -> bool:
    """Return whether a frame has these fields; the name `data__status` looks inside."""
    return all(_field(frame, path) == expected for path, expected in fields.items())


def _field(frame: Frame, path: str) -> object:
    value: Any = frame
    for name in path.split("__"):
        value = value.get(name) if isinstance(value, dict) else None
    return value
