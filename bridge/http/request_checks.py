"""Checks around every request, a WebSocket's handshake included: its host, and counts of refusals and faults."""

from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.http.access import client_address
from bridge.http.hosts import is_host_allowed, own_names, requested_host
from bridge.http.load import ServerLoad
from bridge.http.responses import SECURITY_HEADERS, error_response
from bridge.protocol.error_codes import ErrorCode

MAX_LOGGED: Final = 200  # characters of each text of a client
ANSWERS: Final = ("http.response.start", "websocket.http.response.start")


def checked(app: ASGIApp, load: ServerLoad) -> ASGIApp:
    """Return the app with these checks around it."""
    names = own_names(load.web)

    async def with_checks(scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)

        async def send_counted(message: Message) -> None:
            if message["type"] in ANSWERS and 400 <= message["status"] < 500:
                texts = {"path": scope["path"], **{name: request.headers.get(name, "") for name in ("host", "origin")}}
                shown = {name: text[:MAX_LOGGED] for name, text in texts.items()}
                load.note_refusal(message["status"], peer=client_address(request), **shown)
            await send(message)

        try:
            host = requested_host(scope)
            answer = None if host is not None and is_host_allowed(host, names) else _refusal(host)
            await (answer or app)(scope, receive, send_counted)
        except ClientDisconnect:
            pass  # the connection has counted it
        except Exception as error:
            if scope["type"] != "http":
                raise
            load.note_fault(error)  # the response is sent: uvicorn would log it again, each time

    return with_checks


def _refusal(host: str | None) -> Response:
    if host is None:
        answer = error_response(ErrorCode.INVALID_MESSAGE, "one Host header is required", status=HTTPStatus.BAD_REQUEST)
    else:
        text = "host not allowed: add its name to web.allowed_hosts"
        answer = error_response(ErrorCode.INVALID_MESSAGE, text, status=HTTPStatus.MISDIRECTED_REQUEST)
    answer.headers.update(SECURITY_HEADERS)
    return answer
