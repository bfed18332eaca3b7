"""Checks around every request, a WebSocket's handshake included: its head, and counts of refusals and faults."""

from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.http.access import client_address
from bridge.http.hosts import is_host_allowed, own_names, requested_host
from bridge.http.load import ServerLoad
from bridge.http.responses import error_response
from bridge.http.security_headers import SECURITY_HEADERS
from bridge.protocol.error_codes import ErrorCode

MAX_LOGGED: Final = 200  # characters of each text of a client
MAX_TARGET_BYTES: Final = 8_192  # RFC 9110 4.1 recommends 8,000 at least
MAX_PARAMETERS: Final = 320  # of the query: the lists of an explanation, of up to 100 each; more are costly to parse
MAX_HEADERS: Final = 128  # as of a WebSocket's handshake
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
            _remove_cookies(scope)
            await (_refusal(scope, names) or app)(scope, receive, send_counted)
        except ClientDisconnect:
            pass  # the connection has counted it
        except Exception as error:
            if scope["type"] != "http":
                raise
            load.note_fault(error)  # the response is sent: uvicorn would log it again, each time

    return with_checks


def _refusal(scope: Scope, names: frozenset[str]) -> Response | None:
    """Return the answer to a request that the app does not get."""
    code, status = ErrorCode.LIMIT_EXCEEDED, HTTPStatus.REQUEST_URI_TOO_LONG
    if len(scope["headers"]) > MAX_HEADERS:
        text, status = f"a request has at most {MAX_HEADERS} headers", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    elif len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
        text = f"path and query have at most {MAX_TARGET_BYTES} bytes"
    elif scope["query_string"].count(b"&") >= MAX_PARAMETERS:
        text = f"a query has at most {MAX_PARAMETERS} parameters"
    elif (host := requested_host(scope)) is None:
        code, text, status = ErrorCode.INVALID_MESSAGE, "one Host header is required", HTTPStatus.BAD_REQUEST
    elif not is_host_allowed(host, names):
        text = "host not allowed: add its name to web.allowed_hosts"
        code, status = ErrorCode.INVALID_MESSAGE, HTTPStatus.MISDIRECTED_REQUEST
    else:
        return None
    answer = error_response(code, text, status=status)
    answer.headers.update(SECURITY_HEADERS)
    return answer


def _remove_cookies(scope: Scope) -> None:
    """Remove what nobody here reads, and FastAPI would parse."""
    scope["headers"] = [header for header in scope["headers"] if header[0] != b"cookie"]
