"""Common parts of all HTTP responses: errors as protocol.md names them, JSON, bounded bodies, security headers."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.domain.access.claims import AccessUndecided, TokenError
from bridge.domain.access.viewer import AdmissionError
from bridge.domain.steps import Steps
from bridge.domain.strict_json import NotStrictJson, parse_json
from bridge.http.access import steps_of
from bridge.http.log_limit import LogLimit
from bridge.ports.journal import JournalError
from bridge.protocol.client_frames import MAX_VALUES, InvalidFrame
from bridge.protocol.error_codes import ErrorCode

MAX_BODY_BYTES: Final = 65_536  # as of a WebSocket frame: stops a body from filling memory
PART_BYTES: Final = 65_536  # of an answer, given to the connection at once
BODY_SECONDS: Final = 10.0  # for a body to arrive: stops one sent byte by byte

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; "  # CSP 3: covers ws and wss of the same host
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",  # frame-ancestors, for browsers before CSP 2
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",  # responses belong to one user, and a board must not be outdated
}

log = structlog.get_logger(__name__)

STATUS_OF: Final[Mapping[ErrorCode, HTTPStatus]] = {
    ErrorCode.INVALID_JSON: HTTPStatus.BAD_REQUEST,
    ErrorCode.UNKNOWN_TYPE: HTTPStatus.NOT_FOUND,
    ErrorCode.INVALID_MESSAGE: HTTPStatus.BAD_REQUEST,
    ErrorCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.UNKNOWN_PLACE: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_SUBSCRIPTION_TYPE: HTTPStatus.BAD_REQUEST,
    ErrorCode.MISSING_TARGET_ID: HTTPStatus.BAD_REQUEST,
    ErrorCode.LIMIT_EXCEEDED: HTTPStatus.BAD_REQUEST,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


def json_response(data: object, *, status: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(data), status_code=status, media_type="application/json")


def error_response(
    code: ErrorCode, message: str, *, status: int | None = None, request_id: str | None = None, detail: object = None
) -> Response:
    """Return an error in the format of an `error` frame; `request_id` is the id of the request."""
    body = {"type": "error", "code": code.value, "message": message, "id": request_id, "detail": detail}
    answer = json_response(
        {key: value for key, value in body.items() if value is not None},
        status=STATUS_OF[code] if status is None else status,
    )
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        answer.headers["www-authenticate"] = "Bearer"  # RFC 9110 11.6.1
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        answer.headers["retry-after"] = "1"
    return answer


async def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body; raise InvalidFrame. To parse it is a step of the requester's."""
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                received += piece
                if len(received) > MAX_BODY_BYTES:
                    raise InvalidFrame(ErrorCode.LIMIT_EXCEEDED, f"a body has at most {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "the body did not arrive in time") from None
    return await steps_of(request)(_parse_body(bytes(received)))


def _parse_body(body: bytes) -> Steps[dict[str, Any]]:
    yield from ()  # one step
    try:
        tree = parse_json(body, max_bytes=MAX_BODY_BYTES, max_values=MAX_VALUES)
    except NotStrictJson as error:
        raise InvalidFrame(ErrorCode.INVALID_JSON, f"not acceptable JSON: {error.reason}") from None
    if not isinstance(tree, dict):
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "the body is one JSON object")
    return tree


def add_error_handlers(app: FastAPI) -> None:
    """Add handlers whose responses name the client's mistake, and never an internal cause."""
    app.state.journal_failures = LogLimit()
    app.add_exception_handler(InvalidFrame, _on_invalid_frame)
    app.add_exception_handler(TokenError, _on_unauthenticated)
    app.add_exception_handler(AdmissionError, _on_unauthenticated)
    app.add_exception_handler(JournalError, _on_journal_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_internal_error)


async def _on_invalid_frame(_: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidFrame)
    return error_response(error.code, error.message, request_id=error.id, detail=error.detail)


async def _on_unauthenticated(_: Request, error: Exception) -> Response:
    if isinstance(error, AccessUndecided):
        return error_response(ErrorCode.UNAVAILABLE, error.public_message)
    message = error.public_message if isinstance(error, TokenError) else "the token cannot be admitted"
    return error_response(ErrorCode.UNAUTHENTICATED, message)


async def _on_journal_error(request: Request, error: Exception) -> Response:
    journal_failures: LogLimit = request.app.state.journal_failures
    if (left_out := journal_failures.due()) is not None:
        log.warning("web.journal_failed", error=str(error), left_out=left_out)
    return error_response(ErrorCode.UNAVAILABLE, "the journal cannot be read now")


async def _on_invalid_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = sorted({f"`{fault['loc'][-1]}`" for fault in error.errors()})
    return error_response(ErrorCode.INVALID_MESSAGE, f"invalid value for {', '.join(fields)}")


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = error_response(
        ErrorCode.INVALID_MESSAGE, HTTPStatus(error.status_code).phrase.lower(), status=error.status_code
    )
    answer.headers.update(error.headers or {})
    return answer


async def _on_internal_error(_: Request, __: Exception) -> Response:
    # `request_checks` logs the exception.
    return error_response(ErrorCode.UNAVAILABLE, "internal error", status=HTTPStatus.INTERNAL_SERVER_ERROR)


async def _send_in_parts(message: Message, send: Send) -> None:
    """Send a body in parts of `PART_BYTES`; before each the server waits until enough of the former ones has left."""
    body = memoryview(message["body"])
    last = (len(body) - 1) // PART_BYTES * PART_BYTES
    for start in range(0, last, PART_BYTES):
        await send({**message, "body": body[start : start + PART_BYTES], "more_body": True})
    await send({**message, "body": body[last:]})


class SecurityHeaders:
    """Middleware for every HTTP request: answers HEAD as GET, and sets `SECURITY_HEADERS`, on errors too.

    Sends large bodies in parts, so that a client that does not read has only some of an answer in memory.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            elif len(message.get("body", b"")) > PART_BYTES:
                await _send_in_parts(message, send)
                return
            await send(message)

        # RFC 9110 9.3.2: the same response; the server, which keeps its own scope, omits the body.
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send_safely)
