"""FastAPI app of a front: the routes of protocol.md, «HTTP», and `/ws`."""

from collections.abc import Iterator

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from bridge.contract import schemas
from bridge.front.front import Front
from bridge.front.metric_samples import front_samples
from bridge.front.web.api import admins_only, api_router
from bridge.front.web.pages import SecurityHeaders, board_routes
from bridge.front.web.responses import add_error_handlers, respond_json, to_starlette
from bridge.front.web.websocket import StarletteSocket, handshake_token, is_origin_allowed, select_subprotocol
from bridge.http.access import Authenticate
from bridge.http.monitoring import Monitoring, MonitoringRequest, ReadinessCheck
from bridge.http.responses import error_response
from bridge.ports.metrics import MetricSample, SampleSource
from bridge.protocol.error_codes import ErrorCode
from bridge.settings import WebSettings


def make_front_app(
    front: Front,
    web: WebSettings,
    *,
    root: str,
    samples: SampleSource = lambda: (),
    ready: ReadinessCheck | None = None,
) -> FastAPI:
    """Return the app of one front. `samples` adds the metrics of other parts: pipeline, journal, broker.

    `ready` checks the whole process, where that is more than the front.
    """
    app = _base_app(front.authenticate)
    app.include_router(api_router(front, root=root))
    _add_socket(app, front, web)
    _add_statistics(app, front)

    def all_samples() -> Iterator[MetricSample]:
        yield from front_samples(front)
        yield from samples()

    behind_proxy = bool(web.trusted_proxies)
    _add_monitoring(
        app,
        Monitoring(
            ready=ready or front.readiness,
            samples=all_samples,
            authenticate=front.authenticate,
            behind_proxy=behind_proxy,
        ),
    )
    _add_contracts(app, root)
    app.router.routes.extend(board_routes())
    return app


def _base_app(authenticate: Authenticate) -> FastAPI:
    app = FastAPI(
        title="floor-bridge",
        version=schemas.VERSION,
        description="HTTP interface for dashboards. /asyncapi.json describes the WebSocket at /ws.",
        docs_url=None,  # FastAPI's pages load scripts from a CDN: they need a network, and our CSP forbids them
        redoc_url=None,
        root_path_in_servers=False,
    )
    app.state.authenticate = authenticate
    add_error_handlers(app)
    app.add_middleware(SecurityHeaders)
    return app


def _add_socket(app: FastAPI, front: Front, web: WebSettings) -> None:
    @app.websocket("/ws")
    @app.websocket("/ws/")
    async def dashboard(websocket: WebSocket) -> None:
        token = handshake_token(websocket, in_query=web.token_in_query)
        secure = websocket.scope["scheme"] == "wss"
        headers = websocket.headers
        if not is_origin_allowed(
            headers.get("origin"), host=headers.get("host"), secure=secure, allowed=web.allowed_origins
        ):
            refusal = error_response(ErrorCode.FORBIDDEN, "origin not allowed: add it to web.allowed_origins")
            await websocket.send_denial_response(to_starlette(refusal))
            return
        await websocket.accept(select_subprotocol(websocket.scope["subprotocols"]))
        peer = websocket.client.host if websocket.client is not None else "?"
        await front.serve(StarletteSocket(websocket), handshake_token=token, peer=peer)


def _add_monitoring(app: FastAPI, monitoring: Monitoring) -> None:
    def received(request: Request) -> MonitoringRequest:
        return MonitoringRequest(request.headers, request.client.host if request.client is not None else None)

    @app.get("/health/live", summary="Report that the process responds")
    async def live(request: Request) -> Response:
        return to_starlette(monitoring.live(received(request)))

    @app.get("/health/ready", summary="Report whether data is live; 503 with the reason if not")
    async def readiness(request: Request) -> Response:
        return to_starlette(monitoring.readiness(received(request)))

    @app.get("/metrics", summary="Export Prometheus metrics; admins only, except from this machine")
    async def prometheus(request: Request) -> Response:
        return to_starlette(monitoring.metrics(received(request)))


def _add_statistics(app: FastAPI, front: Front) -> None:
    @app.get("/ws/health", summary="Report connections, subscriptions and the accounting of all outboxes; admins only")
    async def statistics(request: Request) -> Response:
        admins_only(request)
        return respond_json(front.statistics())


def _add_contracts(app: FastAPI, root: str) -> None:
    catalogue, document = respond_json(schemas.catalogue()), respond_json(schemas.asyncapi_document(root))

    @app.get("/ws/events", summary="List the event types with their schemas, and the subscription types")
    async def event_types() -> Response:
        return catalogue

    @app.get("/asyncapi.json", summary="Get the AsyncAPI 3 document of all topics and frames")
    async def asyncapi() -> Response:
        return document
