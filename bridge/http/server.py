"""uvicorn on the bridge's event loop: a server without signal handlers, and bounds that uvicorn lacks."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from bridge.http.listener import BACKLOG
from bridge.settings import WebSettings

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

HEADER_SECONDS: Final = 10.0  # for a request's head: stops connections that send nothing, or a byte a minute
HEADER_BYTES: Final = 65_536  # of a request's head; llhttp itself sets no bound
MAX_PENDING_HEADS: Final = (
    6_000  # connections without a request, as in a mass reconnect; above it the oldest is aborted
)
MAX_FRAGMENTS: Final = 1_000  # of one WebSocket message: empty fragments never reach the limit in bytes
STOP_SECONDS: Final = 4  # for responses in progress, after the front's 5 s; the whole process has 10 s
WRITE_BUFFER_BYTES: Final = 32_768  # of a WebSocket, plus one frame; of a stalled dashboard's 256 KiB; default 64 KiB
LINGER_SECONDS: Final = 60.0  # for a client to read why it was closed; then unread data is discarded
CLOSE_SECONDS: Final = 2.0  # for the close frame to a client that does not answer pings
PING_SECONDS: Final = 20.0
PONG_SECONDS: Final = 60.0  # longer than `stall_seconds`: the front decides about a slow dashboard

HEAD_TOO_LARGE_RESPONSE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class ServerStopped(Exception):
    """The web server stopped by itself. The process must not continue: without it no dashboard is served."""

    def __init__(self) -> None:
        super().__init__("the web server ended unexpectedly")


async def serve(
    app: ASGIApp, web: WebSettings, *, listener: socket.socket, started: asyncio.Event | None = None
) -> None:
    """Serve until cancelled; then refuse new connections, finish responses within `STOP_SECONDS`, and close.

    `started` is set once connections are accepted. Raise ServerStopped when the server ends by itself.
    """
    server = _Server(_config(app, web), started)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
    try:
        await asyncio.shield(serving)
        raise ServerStopped
    finally:
        server.should_exit = True
        await serving


def _config(app: ASGIApp, web: WebSettings) -> uvicorn.Config:
    tls: dict[str, Any] = {}
    if web.tls_cert_file is not None:
        tls = {"ssl_certfile": web.tls_cert_file, "ssl_keyfile": web.tls_key_file}
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws=BoundedWebSocket,
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
    """Closes a connection whose request head is late or too large, and the oldest when too many are pending."""

    _pending_heads: ClassVar[dict["BoundedHttp", None]] = {}  # of this process, oldest first
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    @override
    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._deadline is not None and self._head_bytes > HEADER_BYTES:
            self.transport.write(HEAD_TOO_LARGE_RESPONSE)
            self.transport.close()

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
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._deadline is not None:
            return
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.abort)
        self._pending_heads[self] = None
        if len(self._pending_heads) > MAX_PENDING_HEADS:
            oldest = next(iter(self._pending_heads))
            oldest._finish_head()  # noqa: SLF001 - same class
            oldest.transport.abort()

    def _finish_head(self) -> None:
        self._pending_heads.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Bounds fragments and the write buffer; a client that does not read gets one pong and one close frame."""

    _pending_pong = b""
    _abort_timer: asyncio.TimerHandle | None = None

    @override
    async def send(self, message: "ASGISendEvent") -> None:
        if message["type"] == "websocket.close" and self.handshake_complete:
            # The close frame follows unread data: a client that reads again later learns why it was closed.
            self.writable.set()
            self._abort_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        await super().send(message)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)

    @override
    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # Otherwise unwritten data on a half-open connection would delay the close until TCP gives up.
        self._abort_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    @override
    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(1009, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    @override
    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:  # RFC 6455 5.5.3: a pong for the most recent ping is enough
            self._pending_pong = b"".join(self.conn.data_to_send())

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pending_pong and not self.transport.is_closing():
            self.transport.write(self._pending_pong)
        self._pending_pong = b""
