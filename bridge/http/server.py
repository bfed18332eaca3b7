"""uvicorn on the bridge's event loop: a server without signal handlers, and bounds that uvicorn lacks."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from bridge.http.acceptor import Acceptor, Arrival
from bridge.http.handshake import HandshakeWebSocket
from bridge.http.http_connection import BoundedHttp
from bridge.http.listener import BACKLOG
from bridge.http.load import ServerLoad
from bridge.http.request_checks import checked
from bridge.http.requester import with_requester
from bridge.http.websocket import PING_SECONDS, PONG_SECONDS

STOP_SECONDS: Final = 4  # for responses in progress; the whole process has 10 s
LATE_WRITE: Final = "socket.send() raised exception."  # of asyncio, from the fifth on


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
    server = _Server(_config(app, load), load, started)
    logging.getLogger("uvicorn.error").addFilter(_is_no_end_of_a_response)
    logging.getLogger("asyncio").addFilter(_is_no_late_write)
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
        checked(with_requester(app, load), load),
        http=BoundedHttp,
        ws=cast("type[HandshakeWebSocket]", partial(HandshakeWebSocket, load)),  # uvicorn only calls it
        ws_max_size=web.max_frame_bytes,
        ws_per_message_deflate=False,  # a small frame could expand to a large one in our memory
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        lifespan="off",
        log_config=None,
        log_level=logging.ERROR,  # below it uvicorn logs paths with their query, and each request that it refuses
        access_log=False,
        server_header=False,
        proxy_headers=bool(web.trusted_proxies),
        forwarded_allow_ips=list(web.trusted_proxies),
        root_path=web.root_path,
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_SECONDS,
        **tls,
    )


def _is_no_end_of_a_response(record: logging.LogRecord) -> bool:
    """Return whether a line is about something else than a response that a stop has cut off: its client is slow."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, asyncio.CancelledError) or str(record.msg).startswith("Cancel %s running task(s)"))


def _is_no_late_write(record: logging.LogRecord) -> bool:
    """Return whether a log record of the event loop is about anything but writes to a disconnected client."""
    return record.msg != LATE_WRITE


class _Server(uvicorn.Server):
    """Leaves signals to the owner of the process, accepts by an Acceptor, and sets `started` once it is up."""

    def __init__(self, config: uvicorn.Config, load: ServerLoad, started: asyncio.Event | None) -> None:
        super().__init__(config)
        self._load = load
        self._started = started

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self.servers = [self._acceptor(listener) for listener in sockets or ()]
        if self._started is not None:
            self._started.set()

    def _acceptor(self, listener: socket.socket) -> asyncio.Server:
        def make_protocol(arrival: Arrival) -> BoundedHttp:
            return BoundedHttp(
                self._load,
                arrival,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        acceptor = Acceptor(listener, self._load, make_protocol, tls=self.config.ssl)
        return cast("asyncio.Server", acceptor)  # uvicorn closes it, and waits
