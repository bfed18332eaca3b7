"""What has ended is freed at once, without the garbage collector: thousands of connections may end in a second."""

import asyncio
import gc
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from bridge.http.acceptor import Arrival
from bridge.http.handshake import HandshakeWebSocket
from bridge.http.http_connection import BoundedHttp
from bridge.http.load import ServerLoad
from bridge.http.tls_transport import TlsTransport
from bridge.http.websocket import WebSocketConnection
from bridge.settings.web import WebSettings
from tests.http.served_sockets import HEADERS, RawClient, SocketApp, served
from tests.support.brokers import until
from tests.support.certificates import self_signed

KINDS = (Arrival, BoundedHttp, HandshakeWebSocket, TlsTransport, WebSocketConnection)
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer requests, and open WebSockets."""
    if scope["type"] == "websocket":
        await SocketApp()(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


Remaining = Callable[[], list[str]]


@pytest.fixture
def remaining() -> Iterator[Remaining]:
    """Turn the collector off, and return what tells the connections that remain of those since then."""
    gc.collect()
    gc.disable()
    former = {id(entry): entry for entry in gc.get_objects() if isinstance(entry, KINDS)}

    def names() -> list[str]:
        return [
            type(entry).__name__ for entry in gc.get_objects() if isinstance(entry, KINDS) and id(entry) not in former
        ]

    yield names
    gc.enable()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"", b""),
        (b"G", b""),
        (REQUEST, b""),
        (REQUEST + b"\r\n", b"hi"),
        (REQUEST + b"Connection: close\r\n\r\n", b"hi"),
        (b"GTFO\r\n\r\n", b"Invalid HTTP request received."),
        (REQUEST + HEADERS + b"\r\n", b"\r\n\r\n"),
        (REQUEST + HEADERS + b"Content-Length: 1\r\n\r\n", b"\r\n\r\n"),
    ],
    ids=["no-request", "a-byte", "half-a-head", "request", "last-request", "no-http", "websocket", "refused-websocket"],
)
async def test_a_connection_is_freed_when_it_ends(
    tmp_path: Path, remaining: Remaining, first: bytes, answer: bytes, *, tls: bool
) -> None:
    certificate, key = self_signed(tmp_path)
    load = ServerLoad(WebSettings(tls_cert_file=certificate, tls_key_file=key) if tls else WebSettings())
    context = ssl.create_default_context(cafile=str(certificate)) if tls else None
    async with served(app, load=load) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost" if tls else None
        )
        client = RawClient(reader, writer)
        writer.write(first)
        if answer:
            await reader.readuntil(answer)
        client.close()
        await until(lambda: len(load.pool) == 0, what="the connection is over")
        await until(lambda: remaining() == [], what="it is freed")


async def test_a_tls_handshake_that_fails_is_freed(tmp_path: Path, remaining: Remaining) -> None:
    certificate, key = self_signed(tmp_path)
    load = ServerLoad(WebSettings(tls_cert_file=certificate, tls_key_file=key))
    async with served(app, load=load) as port:
        for first in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
            client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
            client.writer.write(first)
            await asyncio.sleep(0)
            client.close()
        await until(lambda: load.ended.total() == 2, what="both are over")
        await until(lambda: remaining() == [], what="they are freed")
