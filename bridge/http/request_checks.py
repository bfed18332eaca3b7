"""Checks around every request, a WebSocket's handshake included: refusals and faults are counted, and logged rarely."""

from typing import Final

import structlog
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.http.access import client_address
from bridge.http.load import ServerLoad

MAX_LOGGED: Final = 200  # characters of each text of a client
ANSWERS: Final = ("http.response.start", "websocket.http.response.start")

log = structlog.get_logger(__name__)


def checked(app: ASGIApp, load: ServerLoad) -> ASGIApp:
    """Return the app with these checks around it."""

    async def with_checks(scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)

        async def send_counted(message: Message) -> None:
            if message["type"] in ANSWERS and 400 <= message["status"] < 500:
                texts = {"path": scope["path"], **{name: request.headers.get(name, "") for name in ("host", "origin")}}
                shown = {name: text[:MAX_LOGGED] for name, text in texts.items()}
                load.note_refusal(message["status"], peer=client_address(request), **shown)
            await send(message)

        try:
            await app(scope, receive, send_counted)
        except ClientDisconnect:
            pass  # the connection has counted it
        except Exception as error:
            if scope["type"] != "http":
                raise
            load.note_fault(error)  # the response is sent: uvicorn would log it again, each time

    return with_checks
