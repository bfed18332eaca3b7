"""Web server of a process without dashboards: health and metrics, one request a connection; no FastAPI, no uvicorn."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Final

import structlog
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from typing_extensions import override

from bridge.http.listener import BACKLOG, tls_context
from bridge.http.monitoring import Monitoring, MonitoringRequest
from bridge.http.responses import SECURITY_HEADERS, HttpResponse, failure_response, status_response
from bridge.settings import WebSettings

CONNECTION_SECONDS: Final = 10.0  # from its start to its end: stops clients that neither send nor read
HEAD_BYTES: Final = 65_536  # of all that a client sends; llhttp itself sets no bound
MAX_CONNECTIONS: Final = 100  # above it the oldest is aborted: stops silent clients from using up the file descriptors

log = structlog.get_logger(__name__)

Route = Callable[[MonitoringRequest], HttpResponse]


async def serve(monitoring: Monitoring, web: WebSettings, *, listener: socket.socket) -> None:
    """Serve until cancelled; then close the port and every connection."""
    routes = {
        "/health/live": monitoring.live,
        "/health/ready": monitoring.readiness,
        "/metrics": monitoring.metrics,
    }
    connections: dict[_Connection, None] = {}  # oldest first
    tls = tls_context(web)
    server = await asyncio.get_running_loop().create_server(
        partial(_Connection, routes, connections),
        sock=listener,
        backlog=BACKLOG,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else CONNECTION_SECONDS,
    )
    try:
        await asyncio.Event().wait()
    finally:
        server.close()
        for connection in list(connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    """Answers the first request as soon as its head is complete, and closes. A body is not read."""

    _transport: asyncio.Transport

    def __init__(self, routes: Mapping[str, Route], connections: dict["_Connection", None]) -> None:
        self._routes = routes
        self._connections = connections
        self._parser = HttpRequestParser(self)
        self._received = 0
        self._target = b""
        self._headers: dict[str, str] = {}
        self._answered = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(CONNECTION_SECONDS, transport.abort)
        self._connections[self] = None
        if len(self._connections) > MAX_CONNECTIONS:
            next(iter(self._connections)).abort()

    @override
    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        try:
            with suppress(HttpParserUpgrade):  # raised once the head is complete, and answered
                self._parser.feed_data(data)
        except HttpParserError:
            self._send(status_response(HTTPStatus.BAD_REQUEST))
        if self._received > HEAD_BYTES:
            self._send(status_response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._connections.pop(self, None)

    def abort(self) -> None:
        self._connections.pop(self, None)
        self._transport.abort()

    def on_url(self, url: bytes) -> None:
        """Collect a part of the request target: called by the parser."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header: called by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Answer the first request: called by the parser, for a pipelined one too."""
        if not self._answered:
            self._send(self._respond())

    def _respond(self) -> HttpResponse:
        if self._headers.get("upgrade", "").lower() == "websocket":
            return status_response(HTTPStatus.FORBIDDEN)  # `floor watch` takes it for a process without dashboards
        path = (parse_url(self._target).path or b"").decode("latin-1").rstrip("/")
        route = self._routes.get(path)
        if route is None:
            return status_response(HTTPStatus.NOT_FOUND)
        if self._parser.get_method() != b"GET":
            return status_response(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "GET"})
        peer = self._transport.get_extra_info("peername")
        try:
            return route(MonitoringRequest(self._headers, peer[0] if peer else None))
        except Exception as error:
            response = failure_response(error)
            if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.exception("web.request_failed", path=path)
            return response

    def _send(self, response: HttpResponse) -> None:
        if self._answered:
            return
        self._answered = True
        headers = {
            "date": formatdate(usegmt=True),
            "connection": "close",
            "content-type": response.content_type,
            "content-length": str(len(response.body)),
            **SECURITY_HEADERS,
            **response.headers,
        }
        head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        body = b"" if self._parser.get_method() == b"HEAD" else response.body
        self._transport.write(f"{head}\r\n".encode("latin-1") + body)
        self._transport.close()
