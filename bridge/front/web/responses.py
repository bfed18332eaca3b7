"""HTTP of the front on Starlette: responses, error handlers, and bounded request bodies."""

import asyncio
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bridge.domain.access.claims import TokenError
from bridge.domain.access.viewer import AdmissionError
from bridge.domain.strict_json import NotStrictJson, parse_json
from bridge.http.responses import HttpResponse, error_response, failure_response, json_response, status_response
from bridge.ports.journal import JournalError
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.error_codes import ErrorCode

MAX_BODY_BYTES: Final = 65_536  # as of a WebSocket frame: stops a body from filling memory
BODY_SECONDS: Final = 10.0  # for a body to arrive: stops one sent byte by byte

log = structlog.get_logger(__name__)


def to_starlette(response: HttpResponse) -> Response:
    return Response(response.body, response.status, headers=dict(response.headers), media_type=response.content_type)


def respond_json(data: object) -> Response:
    return to_starlette(json_response(data))


async def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body; raise InvalidFrame."""
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                received += piece
                if len(received) > MAX_BODY_BYTES:
                    raise InvalidFrame(ErrorCode.LIMIT_EXCEEDED, f"a body has at most {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "the body did not arrive in time") from None
    try:
        tree = parse_json(bytes(received), max_bytes=MAX_BODY_BYTES)
    except NotStrictJson as error:
        raise InvalidFrame(ErrorCode.INVALID_JSON, f"not acceptable JSON: {error.reason}") from None
    if not isinstance(tree, dict):
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "the body is one JSON object")
    return tree


def add_error_handlers(app: FastAPI) -> None:
    """Add handlers whose responses name the client's mistake, and never an internal cause."""
    for error in (InvalidFrame, TokenError, AdmissionError, Exception):  # the server logs an Exception itself
        app.add_exception_handler(error, _on_failure)
    app.add_exception_handler(JournalError, _on_journal_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_failure(_: Request, error: Exception) -> Response:
    return to_starlette(failure_response(error))


async def _on_journal_error(_: Request, error: Exception) -> Response:
    log.warning("web.journal_failed", error=str(error))
    return to_starlette(failure_response(error))


async def _on_invalid_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = sorted({f"`{fault['loc'][-1]}`" for fault in error.errors()})
    return to_starlette(error_response(ErrorCode.INVALID_MESSAGE, f"invalid value for {', '.join(fields)}"))


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return to_starlette(status_response(error.status_code, headers=error.headers))
