"""FastAPI app of a front: the routes of protocol.md, «HTTP», and `/ws`."""

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from bridge.contract import schemas
from bridge.front.front import Front
from bridge.front.web.api import api_router
from bridge.front.web.pages import board_routes
from bridge.front.web.websocket import handshake_token, is_origin_allowed, select_subprotocol
from bridge.http.access import client_address, require_admin
from bridge.http.hand_over import hand_over
from bridge.http.monitoring import ReadinessCheck, make_monitoring_app
from bridge.http.openapi import TOKEN, error_responses
from bridge.http.responses import error_response, json_response
from bridge.ports.metrics import SampleSource
from bridge.protocol.error_codes import ErrorCode
from bridge.settings.web import WebSettings

SOCKET_PATHS: Final = ("/ws", "/ws/")


def make_front_app(
    front: Front,
    web: WebSettings,
    *,
    root: str,
    samples: SampleSource = lambda: (),
    ready: ReadinessCheck | None = None,
) -> ASGIApp:
    """Return the app of one front. `samples` are all metrics of the process.

    `ready` checks the whole process, where that is more than the front.
    """
    app = make_monitoring_app(
        authenticate=front.authenticate,
        ready=ready or front.readiness,
        samples=samples,
        api_version=schemas.VERSION,
    )
    app.include_router(api_router(front, root=root))
    _add_statistics(app, front)
    _add_contracts(app, root)
    app.router.routes.extend(board_routes())
    return _with_socket(app, front, web)


def _with_socket(app: ASGIApp, front: Front, web: WebSettings) -> ASGIApp:
    """Return an app with `/ws` in front of another one, whose middleware and routing a handshake then does not pass."""

    async def with_socket(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"].removeprefix(scope["root_path"]) in SOCKET_PATHS:
            await dashboard(WebSocket(scope, receive, send))
        else:
            await app(scope, receive, send)

    async def dashboard(websocket: WebSocket) -> None:
        token = handshake_token(websocket, in_query=web.token_in_query)
        secure = websocket.scope["scheme"] == "wss"
        peer = client_address(websocket)
        headers = websocket.headers
        if not is_origin_allowed(
            headers.get("origin"), host=headers.get("host"), secure=secure, allowed=web.allowed_origins
        ):
            refusal = error_response(ErrorCode.FORBIDDEN, "origin not allowed: add it to web.allowed_origins")
            await websocket.send_denial_response(refusal)
            return
        await websocket.accept(select_subprotocol(websocket.scope["subprotocols"]))
        hand_over(websocket.scope, lambda socket: front.serve(socket, handshake_token=token, peer=peer))

    return with_socket


def _add_statistics(app: FastAPI, front: Front) -> None:
    @app.get(
        "/ws/health",
        summary="Report connections, subscriptions and the accounting of all dashboards; admins only",
        responses=error_responses(HTTPStatus.FORBIDDEN),
        openapi_extra=dict(TOKEN),
    )
    async def statistics(request: Request) -> Response:
        await require_admin(request)
        return json_response(front.statistics())


def _add_contracts(app: FastAPI, root: str) -> None:
    catalogue, document = json_response(schemas.catalogue()), json_response(schemas.asyncapi_document(root))

    @app.get("/ws/events", summary="List the event types with their schemas, and the subscription types")
    async def event_types() -> Response:
        return catalogue

    @app.get("/asyncapi.json", summary="Get the AsyncAPI 3 document of all topics and frames")
    async def asyncapi() -> Response:
        return document
