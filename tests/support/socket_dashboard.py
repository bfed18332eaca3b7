"""A dashboard on a real WebSocket, written from protocol.md alone: without code of the bridge."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import websockets
from typing_extensions import override

from tests.support.dashboard import PATIENCE, Dashboard
from tests.support.tokens import token


class SocketDashboard(Dashboard):
    """Takes a message from its socket only while it waits for a frame."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        super().__init__()
        self.socket = connection

    @override
    async def send_text(self, text: str | bytes) -> None:
        await self.socket.send(text)

    @override
    async def read(self) -> None:
        self.keep(await self.receive_text())

    async def receive_text(self) -> str:
        """Take one message without keeping it."""
        text = await self.socket.recv()
        assert isinstance(text, str), "frames are text"
        return text

    @override
    async def closed(self, *, seconds: float = PATIENCE) -> tuple[int, str]:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(self._read_on(), seconds)
        goodbye = closed.value.rcvd
        assert goodbye is not None, "it was cut off without a close frame"
        return goodbye.code, goodbye.reason

    @override
    async def disconnect(self) -> None:
        await self.socket.close()

    async def _read_on(self) -> None:
        while True:
            await self.read()


@asynccontextmanager
async def connected(address: int | str, *, narrow: bool = False, **options: Any) -> AsyncIterator[SocketDashboard]:
    """Open a WebSocket, at a port or a URL, and send nothing on it.

    `narrow`: the connection, of a port, holds little of what its client does not read. `options` are those of
    `websockets.connect`.
    """
    url = address if isinstance(address, str) else f"ws://127.0.0.1:{address}/ws"
    if narrow:
        assert isinstance(address, int)
        options |= {"sock": _narrow_socket(address), "max_queue": 1}
    # Without a bound on its queue the client sees the answer to its goodbye behind whatever it did not read.
    async with websockets.connect(url, **{"max_queue": None, **options}) as connection:
        yield SocketDashboard(connection)


@asynccontextmanager
async def dashboard(port: int, proof: str | None = None, **options: Any) -> AsyncIterator[SocketDashboard]:
    """Open a WebSocket and authenticate; without a `proof` as the admin eva."""
    async with connected(port, **options) as board:
        await board.ask("auth", "auth_ok", token=proof or token())
        yield board


def _narrow_socket(port: int) -> socket.socket:
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.connect(("127.0.0.1", port))
    narrow.setblocking(False)
    return narrow


@dataclass(frozen=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


async def http(port: int, path: str, proof: str | None = None, body: object = None, **headers: str) -> HttpResponse:
    """Ask over HTTP: a POST where there is a body."""
    content = None if body is None else json.dumps(body).encode()
    request = Request(f"http://127.0.0.1:{port}{path}", data=content, headers=headers)
    if proof is not None:
        request.add_header("Authorization", f"Bearer {proof}")

    def ask() -> HttpResponse:
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return HttpResponse(answer.status, dict(answer.headers), answer.read())
        except HTTPError as error:
            with error:
                return HttpResponse(error.code, dict(error.headers), error.read())

    return await asyncio.to_thread(ask)
