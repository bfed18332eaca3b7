"""The OpenAPI document: what FastAPI derives from the routes, with our errors and tokens instead of FastAPI's."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from bridge.protocol.error_codes import ErrorCode

VALIDATION: Final = str(int(HTTPStatus.UNPROCESSABLE_ENTITY))  # FastAPI's; ours is 400
VALIDATION_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")
TOKEN: Final[Mapping[str, Any]] = {"security": [{"bearer": []}]}
"""`openapi_extra` of a route that needs a token."""

_MEANINGS: Final = {
    HTTPStatus.BAD_REQUEST: "a parameter or the body is not acceptable",
    HTTPStatus.UNAUTHORIZED: "no token, or one that is not accepted",
    HTTPStatus.FORBIDDEN: "not granted to the bearer of the token",
    HTTPStatus.NOT_FOUND: "the plant has no such line, or the line no such equipment",
    HTTPStatus.TOO_MANY_REQUESTS: "the user makes too many requests at once, or too many commands in a second",
    HTTPStatus.SERVICE_UNAVAILABLE: "access cannot be decided, or the journal or the broker cannot be used, now",
}
_OF_A_TOKEN: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class ErrorBody(BaseModel):
    """Body of an error: an `error` frame of the WebSocket."""

    type: Literal["error"]
    code: ErrorCode
    message: str
    id: str | None = None
    detail: dict[str, Any] | None = None


_ANSWERS_TO_ANY_REQUEST: Final[Mapping[str, Any]] = {
    str(int(status)): {
        "description": meaning,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}}},
    }
    for status, meaning in (
        (HTTPStatus.BAD_REQUEST, "no Host header, or two"),
        (HTTPStatus.REQUEST_URI_TOO_LONG, "the path and query are too long, or the query has too many parameters"),
        (HTTPStatus.MISDIRECTED_REQUEST, "the Host is none of this server's names"),
        (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers, or too long ones"),
    )
}


def error_responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return `responses` of a route that needs a token, and answers with these errors beside those of a token."""
    listed = sorted({*statuses, *_OF_A_TOKEN})
    responses: dict[int | str, dict[str, Any]] = {
        int(status): {"model": ErrorBody, "description": _MEANINGS[status]} for status in listed
    }
    responses[int(HTTPStatus.TOO_MANY_REQUESTS)]["headers"] = {
        "Retry-After": {"description": "seconds, after which to ask again", "schema": {"type": "integer"}}
    }
    return responses


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the document of an app's routes."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            answers.pop(VALIDATION, None)
            answers |= {status: answer for status, answer in _ANSWERS_TO_ANY_REQUEST.items() if status not in answers}
    components = document.setdefault("components", {})
    for name in VALIDATION_SCHEMAS:
        components.get("schemas", {}).pop(name, None)
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    return document
