"""uvicorn on the bridge's event loop: a server without signal handlers, and bounds that uvicorn lacks."""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, cast

import httptools
import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bridge.http.listener import BACKLOG
from bridge.http.load import ServerLoad
from bridge.http.peers import Account
from bridge.http.websocket import HAND_OVER, PING_SECONDS, PONG_SECONDS, OpenSocket, WebSocketConnection

HEADER_SECONDS: Final = 10.0  # for a request's head: stops connections that send nothing, or a byte a minute
HEADER_BYTES: Final = 65_536  # of a request's head; llhttp itself sets no bound
STOP_SECONDS: Final = 4  # for responses in progress; the whole process has 10 s

HEAD_TOO_LARGE_RESPONSE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class ServerStopped(Exception):
    """The web server stopped by itself. The process must not continue: without it no dashboard is served."""

    def __init__(self) -> None:
        super().__init__("the web server ended unexpectedly")


async def serve(
    app: ASGIApp, load: ServerLoad, *, listener: socket.socket, started: asyncio.Event | None = None
) -> None:
    """Serve until cancelled; then refuse new connections, finish responses within `STOP_SECONDS`, and close.

    `started` is set once connections are accepted. Raise ServerStopped when the server ends by itself.
    """
    server = _Server(_config(app, load), started)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
    try:
        await asyncio.shield(serving)
        raise ServerStopped
    finally:
        server.should_exit = True
        await serving


def _config(app: ASGIApp, load: ServerLoad) -> uvicorn.Config:
    web = load.web
    tls: dict[str, Any] = {}
    if web.tls_cert_file is not None:
        tls = {"ssl_certfile": web.tls_cert_file, "ssl_keyfile": web.tls_key_file}
    return uvicorn.Config(
        app,
        http=cast("type[BoundedHttp]", partial(BoundedHttp, load)),  # uvicorn only calls them
        ws=cast("type[HandshakeWebSocket]", partial(HandshakeWebSocket, load)),
        ws_max_size=web.max_frame_bytes,
        ws_per_message_deflate=False,  # a small frame could expand to a large one in our memory
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,  # below it uvicorn logs paths with their query, which may contain a token
        access_log=False,
        server_header=False,
        proxy_headers=bool(web.trusted_proxies),
        forwarded_allow_ips=list(web.trusted_proxies),
        root_path=web.root_path,
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_SECONDS,
        **tls,
    )


class _Server(uvicorn.Server):
    """Leaves signals to the owner of the process, and sets `started` once it is up."""

    def __init__(self, config: uvicorn.Config, started: asyncio.Event | None) -> None:
        super().__init__(config)
        self._started = started

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._started is not None:
            self._started.set()


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose request head is late or too large."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _received = b""
    _account: Account | None = None  # until a WebSocket takes it over

    def __init__(self, load: ServerLoad, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load = load

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._account = Account(self._load.peers, self.client[0] if self.client else "?")
        self._load.pool.add(transport, self._account.address)
        self._await_head()

    @override
    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        self._received = data
        super().data_received(data)
        self._received = b""
        if self._deadline is not None and self._head_bytes > HEADER_BYTES:
            self.transport.write(HEAD_TOO_LARGE_RESPONSE)
            self.transport.close()

    @override
    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # they refer to each other
        upgrade = sys.exception()
        assert isinstance(upgrade, httptools.HttpParserUpgrade)
        handshake = self.transport.get_protocol()
        assert isinstance(handshake, HandshakeWebSocket)
        handshake.account, self._account = self._account, None
        early = self._received[upgrade.args[0] :]  # from the end of the head
        if early:
            handshake.data_received(early)

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    @override
    def on_headers_complete(self) -> None:
        self._finish_head()
        super().on_headers_complete()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._finish_head()
        self._load.pool.remove(self.transport)
        if self._account is not None:
            self._account.close()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._deadline is not None:
            return
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _finish_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _HandedOver(asyncio.Transport):
    """In place of a transport that is no longer the handshake's: the end of the ASGI app does not close it."""

    @override
    def is_closing(self) -> bool:
        return True

    @override
    def close(self) -> None:
        pass


_HANDED_OVER: Final = _HandedOver()


class HandshakeWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket until it is open: the app refuses it, or accepts it and hands it over to a WebSocketConnection."""

    account: Account | None = None  # from the request on, until it is handed over
    _early = b""

    def __init__(self, load: ServerLoad, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load = load

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._load.pool.remove(self.transport)
        if self.account is not None:
            self.account.close()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated:
            self._early += data
            self.transport.pause_reading()
            return
        super().data_received(data)
        if not self.handshake_initiated:  # websockets refuses the head: uvicorn would neither answer nor close
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    @override
    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[HAND_OVER] = self._hand_over
        try:
            await super().run_asgi()
        finally:
            del extensions[HAND_OVER]  # refers to us, and we to the scope
            self.conn.parser.close()  # a generator that refers to `conn`

    @override
    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.close_sent:  # uvicorn misses this for a refusal with a response, and logs an error
            self.handshake_complete = True

    def _hand_over(self, open_socket: OpenSocket) -> None:
        transport, self.transport = self.transport, _HANDED_OVER
        self.stop_keepalive()
        self.handshake_complete = True  # or there is nobody left to answer
        if transport.is_closing():
            return
        account, self.account = self.account, None
        assert account is not None, "set with the request"
        client = self.scope["client"]
        if client is not None and client != self.client:
            account.forward(client[0])
            self._load.pool.add(transport, account.address)
        connection = WebSocketConnection(transport, self.connections, load=self._load, account=account)
        transport.set_protocol(connection)
        self.connections.discard(self)
        if self._early:
            transport.resume_reading()
        connection.open(open_socket, self._early)
