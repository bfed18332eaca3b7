"""Parts of large answers: a client that does not read has few of them in memory."""

from collections.abc import Iterator
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from bridge.domain.steps import Steps
from bridge.http.head_requests import IS_HEAD
from bridge.http.requester import REQUESTER, Requester

PART_BYTES: Final = 65_536  # of an answer, given to the connection at once


class PartsResponse(Response):
    """JSON of `size` bytes, whose parts are made one by one: in turns of the requester, who pays for them.

    A part is made when the client has taken most of those before it: no more than two are in memory. None is made for
    HEAD, nor for a connection that has ended.
    """

    media_type = "application/json"

    def __init__(self, parts: Iterator[bytes], *, size: int) -> None:
        super().__init__()
        self.headers["content-length"] = str(size)
        self._parts = parts
        self._size = size

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        requester: Requester = scope["extensions"][REQUESTER]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if IS_HEAD in scope["extensions"]:
            await send({"type": "http.response.body", "body": b""})
            return
        left = self._size
        while left > 0 and not requester.is_gone:
            part = await requester.run(_make_next(self._parts))
            left -= len(part)
            await send({"type": "http.response.body", "body": part, "more_body": True})
            del part
            # The server waits here, with nothing to send, until the client has taken enough.
            await send({"type": "http.response.body", "body": b"", "more_body": left > 0})


def _make_next(parts: Iterator[bytes]) -> Steps[bytes]:
    """Return the next part, in one step."""
    yield from ()
    return next(parts)


class AnswerParts:
    """Middleware that splits bodies into parts of `PART_BYTES`, of which few are given to the connection at once.

    The body itself stays in memory until its last part is given away: it is to be small, or shared.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_parts(message: Message) -> None:
            if message["type"] == "http.response.body" and len(message.get("body", b"")) > PART_BYTES:
                await _send_in_parts(message, send)
            else:
                await send(message)

        await self._app(scope, receive, send_in_parts if scope["type"] == "http" else send)


async def _send_in_parts(message: Message, send: Send) -> None:
    """Send a body in parts of `PART_BYTES`; before each the server waits until enough of the former ones has left."""
    body = memoryview(message["body"])
    last = (len(body) - 1) // PART_BYTES * PART_BYTES
    for start in range(0, last, PART_BYTES):
        await send({**message, "body": body[start : start + PART_BYTES], "more_body": True})
    await send({**message, "body": body[last:]})
