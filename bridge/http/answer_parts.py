"""Parts of large answers: a client that does not read has few of them in the transport's buffer."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PART_BYTES: Final = 65_536  # of an answer, given to the connection at once


class AnswerParts:
    """Middleware that splits bodies into parts of `PART_BYTES`."""

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
