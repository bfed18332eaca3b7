"""JSON responses, and errors as protocol.md names them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from bridge.protocol.error_codes import ErrorCode

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
