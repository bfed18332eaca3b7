"""A dashboard written from protocol.md alone: it knows no code of the bridge's, and judges none."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import websockets

from tests.support.tokens import token

PATIENCE = 15.0
Frame = dict[str, Any]


@dataclass
class Dashboard:
    """One connection. Frames are looked for in the order in which they came, each once."""

    socket: websockets.ClientConnection
    frames: list[Frame] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    heard: int = 0  # of the frames, so many were looked at

    async def say(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def hears(self, kind: str, *, seconds: float = PATIENCE, **fields: object) -> Frame:
        """Wait for the next frame of this type with these fields; `data__status` looks inside."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    while self.heard < len(self.frames):
                        frame = self.frames[self.heard]
                        self.heard += 1
                        if frame["type"] == kind and all(look(frame, path) == want for path, want in fields.items()):
                            return frame
                    await self.read()
        except TimeoutError:
            told = [(each["type"], each.get("subject") or each.get("id")) for each in self.frames[-30:]]
            raise AssertionError(f"no {kind} with {fields} within {seconds} s; at last {told}") from None

    async def hears_event(self) -> Frame:
        """Wait for the next event, of any type."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while self.heard < len(self.frames):
                    self.heard += 1
                    if is_event(self.frames[self.heard - 1]):
                        return self.frames[self.heard - 1]
                await self.read()

    async def asks(self, question: str, answer: str, **fields: object) -> Frame:
        await self.say(question, **fields)
        return await self.hears(answer)

    async def read(self) -> None:
        """Take one message: a frame, or an array of them."""
        text = await self.socket.recv()
        assert isinstance(text, str), "frames are text"
        self.texts.append(text)
        told = json.loads(text)
        self.frames.extend(told if isinstance(told, list) else [told])

    async def snapshot(self, **body: object) -> list[Frame]:
        """Subscribe, and return the events between `snapshot_begin` and `snapshot_end`."""
        confirmed = await self.asks("subscribe", "subscription_confirmed", **body)
        return await self.told_snapshot(confirmed["id"])

    async def told_snapshot(self, name: str) -> list[Frame]:
        await self.hears("snapshot_begin", id=name)
        begin = self.heard
        end = await self.hears("snapshot_end", id=name)
        told = [each for each in self.frames[begin : self.heard - 1] if is_event(each)]
        assert end["count"] == len(told)
        return told

    async def ends(self, *, seconds: float = PATIENCE) -> tuple[int, str]:
        """Read to the end, and return the close code with its reason."""
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(self._read_on(), seconds)
        goodbye = closed.value.rcvd
        assert goodbye is not None, "it was cut off without a close frame"
        return goodbye.code, goodbye.reason

    async def _read_on(self) -> None:
        while True:
            await self.read()

    @property
    def events(self) -> list[Frame]:
        return [each for each in self.frames if is_event(each)]


def is_event(frame: Frame) -> bool:
    return "offset" in frame and "subject" in frame


def look(frame: Frame, path: str) -> object:
    value: Any = frame
    for name in path.split("__"):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[Dashboard]:
    """Open a WebSocket and say nothing on it."""
    # Without a bound on its queue the client hears the answer to its goodbye behind whatever it did not read.
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws", **{"max_queue": None, **options}) as socket:
        yield Dashboard(socket)


@asynccontextmanager
async def dashboard(port: int, proof: str | None = None, **options: Any) -> AsyncIterator[Dashboard]:
    """Open a WebSocket and authenticate; without a `proof` as the admin eva."""
    async with connected(port, **options) as board:
        await board.asks("auth", "auth_ok", token=proof or token())
        yield board


def narrow_socket(port: int) -> socket.socket:
    """A connection that holds little of what its client does not read."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.connect(("127.0.0.1", port))
    narrow.setblocking(False)
    return narrow


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


async def http(port: int, path: str, proof: str | None = None, body: object = None, **headers: str) -> Answer:
    """Ask over HTTP: a POST where there is a body."""
    content = None if body is None else json.dumps(body).encode()
    request = Request(f"http://127.0.0.1:{port}{path}", data=content, headers=headers)
    if proof is not None:
        request.add_header("Authorization", f"Bearer {proof}")

    def ask() -> Answer:
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    return await asyncio.to_thread(ask)
