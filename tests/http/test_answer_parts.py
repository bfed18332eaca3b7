"""Answers in parts: each when the client has taken those before, at its user's expense. On real sockets."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.domain.access.viewer import Viewer
from bridge.http import http_connection
from bridge.http.access import require_viewer
from bridge.http.answer_parts import PART_BYTES, PartsResponse
from bridge.http.head_requests import HeadAsGet
from bridge.http.load import EndReason, ServerLoad
from bridge.http.peers import WORK_BURST_SECONDS, PeerKind
from bridge.ports.clock import wall_ms
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, served
from tests.support.brokers import until
from tests.support.certificates import self_signed
from tests.support.in_process import settings_with
from tests.support.raw_http import answer_of
from tests.support.stopped_clock import StoppedClock
from tests.support.tokens import token

AUTHENTICATOR = TokenAuthenticator.from_settings(settings_with())
PARTS = 40
WHOLE = b"".join(bytes((number,)) * PART_BYTES for number in range(PARTS))
MOST_AHEAD = 10  # parts: two that wait, and what the kernel and the client's TLS hold


@dataclass
class PartsApp:
    """An app that answers with `PARTS` parts, and counts those that were made."""

    made: int = 0

    def app(self) -> ASGIApp:
        app = FastAPI()
        app.state.authenticate = lambda text: AUTHENTICATOR.admit_in_steps(text, now=wall_ms())

        @app.get("/")
        async def answer(_: Annotated[Viewer, Depends(require_viewer)]) -> Response:
            return PartsResponse(self.parts(), size=len(WHOLE))

        return HeadAsGet(app)

    def parts(self) -> Iterator[bytes]:
        for number in range(PARTS):
            self.made += 1
            yield bytes((number,)) * PART_BYTES


class Reader:
    """A client that takes its answer when a test wants it."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.received = bytearray()

    async def take(self, size: int) -> bool:
        """Take about `size` bytes; return whether there may be more."""
        data = await asyncio.wait_for(self._reader.read(size), DEADLINE)
        self.received += data
        return bool(data)

    async def take_all(self) -> bytes:
        while await self.take(PART_BYTES):
            pass
        return answer_of(bytes(self.received)).body


@asynccontextmanager
async def asking(port: int, *, user: str = "eva", method: str = "GET", with_tls: bool = False) -> AsyncIterator[Reader]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if with_tls else None
    if context is not None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    name = "localhost" if with_tls else None
    reader, writer = await asyncio.open_connection(sock=raw, ssl=context, server_hostname=name, limit=1_024)
    head = f"{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token(user=user)}"
    writer.write(f"{head}\r\n\r\n".encode())
    try:
        yield Reader(reader)
    finally:
        writer.transport.abort()


async def looks(number: int = 50) -> None:
    """Let the event loop look at its sockets as often."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("with_tls", [False, True])
async def test_a_part_is_made_when_the_client_has_taken_those_before(tmp_path: Path, *, with_tls: bool) -> None:
    app, web = PartsApp(), WebSettings()
    if with_tls:
        certificate, key = self_signed(tmp_path)
        web = WebSettings(tls_cert_file=certificate, tls_key_file=key)
    async with served(app.app(), web) as port, asking(port, with_tls=with_tls) as reader:
        await until(lambda: app.made > 0, what="the answer is begun")
        await looks()
        assert app.made <= MOST_AHEAD
        while await reader.take(PART_BYTES):
            assert app.made <= len(reader.received) / PART_BYTES + MOST_AHEAD
        assert answer_of(bytes(reader.received)).body == WHOLE
    assert app.made == PARTS


async def test_the_user_pays_for_each_part_and_waits_while_they_owe() -> None:
    app, clock = PartsApp(), StoppedClock()
    load = ServerLoad(WebSettings(), clock)
    async with served(app.app(), load=load) as port, asking(port) as reader:
        await until(lambda: app.made > 0, what="the answer is begun")
        await looks()
        load.peers.user("eva").work.take(load.web.max_work_per_user * (WORK_BURST_SECONDS + 0.1), clock.now)
        taking = asyncio.create_task(reader.take_all())
        await until(lambda: load.turns.delays[PeerKind.USER] > 0, what="she waits")
        made = app.made
        async with asking(port, user="otto") as other:
            assert await other.take_all() == WHOLE
        assert app.made == made + PARTS
        clock.now += 2 * WORK_BURST_SECONDS * 1_000
        assert await taking == WHOLE


async def test_no_part_is_made_for_head() -> None:
    app = PartsApp()
    async with served(app.app()) as port, asking(port, method="HEAD") as reader:
        assert await reader.take_all() == b""
        answer = answer_of(bytes(reader.received))
    assert (answer.status, answer.headers["content-length"]) == (200, f"{len(WHOLE)}")
    assert app.made == 0


async def test_no_part_is_made_for_a_client_that_is_gone() -> None:
    app = PartsApp()
    load = ServerLoad(WebSettings())
    async with served(app.app(), load=load) as port:
        async with asking(port):
            await until(lambda: app.made > 0, what="the answer is begun")
            await looks()
        await until(lambda: load.peers.user("eva").requests == 0, what="the request has ended")
        assert app.made <= MOST_AHEAD
    assert load.faults == 0


async def test_a_client_that_takes_little_at_a_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MIN_ANSWER_PACE", 10**6)
    app, load = PartsApp(), ServerLoad(WebSettings(stall_seconds=0.3))
    async with served(app.app(), load=load) as port, asking(port) as reader:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE):
                more = True
                while more:
                    more = await reader.take(4_096)
                    await asyncio.sleep(0.01)  # it takes something before each look
        assert len(reader.received) < len(WHOLE)
    assert load.ended == {EndReason.ANSWER_UNREAD: 1}


async def test_a_client_that_is_slow_and_steady_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    app, load = PartsApp(), ServerLoad(WebSettings(stall_seconds=0.1))
    looked: list[object] = []
    look = http_connection.BoundedHttp._look_at_answer  # noqa: SLF001

    def counted(connection: http_connection.BoundedHttp) -> object:
        looked.append(seen := look(connection))
        return seen

    monkeypatch.setattr(http_connection.BoundedHttp, "_look_at_answer", counted)
    async with served(app.app(), load=load) as port, asking(port) as reader:
        while len(reader.received) < len(WHOLE) / 4:
            assert await reader.take(16_384)
            await asyncio.sleep(0.01)
        assert await reader.take_all() == WHOLE
    assert len([seen for seen in looked if seen is not None]) > 2
    assert load.ended == {}
