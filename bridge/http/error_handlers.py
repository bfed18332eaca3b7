"""Responses to errors of an app's routes: they name the client's mistake, and never an internal cause."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bridge.domain.access.claims import AccessUndecided, TokenError
from bridge.domain.access.viewer import AdmissionError
from bridge.http.log_limit import LogLimit
from bridge.http.responses import error_response
from bridge.ports.journal import JournalError
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.error_codes import ErrorCode

log = structlog.get_logger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Add a handler for each error that a route may raise."""
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
