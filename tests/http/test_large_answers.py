"""Large answers that are whole: of one that its client does not read little is in the transport. Over real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bridge.http.answer_parts import PART_BYTES, AnswerParts
from bridge.http.head_requests import HeadAsGet
from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, served
from tests.support.brokers import until
from tests.support.certificates import self_signed
from tests.support.raw_http import Answer, answer_of

MOST_WAITING = 192 * 1_024


def bytes_app() -> ASGIApp:
    """Return an app that answers /N with N bytes."""

    def answer(request: Request) -> Response:
        return Response(body_of(request.path_params["size"]))

    return HeadAsGet(AnswerParts(Starlette(routes=[Route("/{size:int}", answer)])))


def body_of(size: int) -> bytes:
    return bytes(index * index % 251 for index in range(size))


@asynccontextmanager
async def asking(
    port: int, size: int, *, method: str = "GET", tls: bool = False
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls else None
    if context is not None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection(sock=raw, ssl=context, server_hostname=name, limit=1_024)
    writer.write(f"{method} /{size} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_to(port: int, size: int, *, method: str = "GET", tls: bool = False) -> Answer:
    received = bytearray()
    async with asyncio.timeout(DEADLINE), asking(port, size, method=method, tls=tls) as (reader, _):
        while data := await reader.read(65_536):
            received += data
    return answer_of(bytes(received))


def waiting_bytes(load: ServerLoad) -> Callable[[], int]:
    """Return what tells how many bytes wait for the only client."""

    def waiting() -> int:
        connections = load.pool._owners  # noqa: SLF001
        return sum(getattr(connection, "get_write_buffer_size", lambda: 0)() for connection in connections)

    return waiting


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def web(request: pytest.FixtureRequest, tmp_path: Path) -> WebSettings:
    if not request.param:
        return WebSettings()
    certificate, key = self_signed(tmp_path)
    return WebSettings(tls_cert_file=certificate, tls_key_file=key)


async def test_what_a_client_does_not_read_waits_for_it_outside_of_the_connection(web: WebSettings) -> None:
    load, size = ServerLoad(web), 1_000_000
    tls = web.tls_cert_file is not None
    async with served(bytes_app(), load=load) as port, asking(port, size, tls=tls) as (reader, _):
        waiting = waiting_bytes(load)
        await until(lambda: waiting() > PART_BYTES, what="the client has stopped it")
        most = 0
        for _ in range(20):
            await asyncio.sleep(0)
            most = max(most, waiting())
        assert most <= MOST_WAITING
        received = bytearray()
        async with asyncio.timeout(DEADLINE):
            while data := await reader.read(65_536):
                received += data
                assert waiting() <= MOST_WAITING
        answer = answer_of(bytes(received))
        assert answer.headers["content-length"] == f"{size}"
        assert answer.body == body_of(size)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 200_000])
async def test_a_client_that_reads_gets_the_same_bytes(web: WebSettings, size: int) -> None:
    tls = web.tls_cert_file is not None
    async with served(bytes_app(), web) as port:
        answer = await answer_to(port, size, tls=tls)
        head = await answer_to(port, size, method="HEAD", tls=tls)
    assert (answer.status, answer.body) == (200, body_of(size))
    assert answer.headers["content-length"] == f"{size}"
    assert "transfer-encoding" not in answer.headers
    assert (head.headers["content-length"], head.body) == (f"{size}", b"")
