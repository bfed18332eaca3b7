"""HTTP responses of every web server of the bridge: errors as protocol.md names them, JSON, security headers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec

from bridge.domain.access.claims import TokenError
from bridge.domain.access.viewer import AdmissionError
from bridge.ports.journal import JournalError
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.error_codes import ErrorCode

STATUS_OF: Final[Mapping[ErrorCode, HTTPStatus]] = {
    ErrorCode.INVALID_JSON: HTTPStatus.BAD_REQUEST,
    ErrorCode.UNKNOWN_TYPE: HTTPStatus.NOT_FOUND,
    ErrorCode.INVALID_MESSAGE: HTTPStatus.BAD_REQUEST,
    ErrorCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.UNKNOWN_SUBSCRIPTION_TYPE: HTTPStatus.BAD_REQUEST,
    ErrorCode.MISSING_TARGET_ID: HTTPStatus.BAD_REQUEST,
    ErrorCode.LIMIT_EXCEEDED: HTTPStatus.BAD_REQUEST,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
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


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response that no framework has seen yet. Each server adds `SECURITY_HEADERS` and the content's length."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(data: object, *, status: int = HTTPStatus.OK) -> HttpResponse:
    return HttpResponse(status, msgspec.json.encode(data))


def error_response(
    code: ErrorCode,
    message: str,
    *,
    status: int | None = None,
    request_id: str | None = None,
    detail: object = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return an error in the format of an `error` frame; `request_id` is the id of the request."""
    body = {"type": "error", "code": code.value, "message": message, "id": request_id, "detail": detail}
    status = STATUS_OF[code] if status is None else status
    challenge = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}  # RFC 9110 11.6.1
    present = {key: value for key, value in body.items() if value is not None}
    return HttpResponse(status, msgspec.json.encode(present), headers={**challenge, **(headers or {})})


def status_response(status: int, *, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return the error of a request that no route serves: `not found`, `method not allowed`."""
    return error_response(ErrorCode.INVALID_MESSAGE, HTTPStatus(status).phrase.lower(), status=status, headers=headers)


def failure_response(error: Exception) -> HttpResponse:
    """Return the response to a request that raised: it names the client's mistake, and never an internal cause."""
    match error:
        case InvalidFrame():
            return error_response(error.code, error.message, request_id=error.id, detail=error.detail)
        case TokenError():
            return error_response(ErrorCode.UNAUTHENTICATED, error.public_message)
        case AdmissionError():
            return error_response(ErrorCode.UNAUTHENTICATED, "the token cannot be admitted")
        case JournalError():
            return error_response(ErrorCode.UNAVAILABLE, "the journal cannot be read now")
        case _:
            return error_response(ErrorCode.UNAVAILABLE, "internal error", status=HTTPStatus.INTERNAL_SERVER_ERROR)
