"""Body of a request: one JSON object, bounded in bytes and time."""

import asyncio
from typing import Any, Final

from fastapi import Request

from bridge.domain.steps import Steps
from bridge.domain.strict_json import NotStrictJson, parse_json
from bridge.http.access import steps_of
from bridge.protocol.client_frames import MAX_VALUES, InvalidFrame
from bridge.protocol.error_codes import ErrorCode

MAX_BODY_BYTES: Final = 65_536  # as of a WebSocket frame: stops a body from filling memory
BODY_SECONDS: Final = 10.0  # for a body to arrive: stops one sent byte by byte


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
        raise InvalidFrame(ErrorCode.INVALID_JSON, error.text) from None
    if not isinstance(tree, dict):
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "the body is one JSON object")
    return tree
