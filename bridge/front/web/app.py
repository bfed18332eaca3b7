"""FastAPI apps: a front's, with the routes of protocol.md, «HTTP», and `/ws`; and a pipeline's."""

from collections.abc import Callable, Iterator

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from bridge.contract import schemas
from bridge.domain.access.viewer import Viewer
from bridge.front.front import Front
from bridge.front.web.api import api_router, require_admin
from bridge.front.web.metric_samples import MetricsEndpoint, front_samples, is_loopback
from bridge.front.web.pages import SecurityHeaders, board_routes
from bridge.front.web.responses import add_error_handlers, error_response, json_response
from bridge.front.web.websocket import StarletteSocket, handshake_token, is_origin_allowed, select_subprotocol
from bridge.ports.metrics import Metric, MetricSample, SampleSource
from bridge.protocol.error_codes import ErrorCode
from bridge.settings import WebSettings

ReadinessCheck = Callable[[], tuple[bool, str]]
"""Returns whether the process is ready, and a short reason."""


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
    ready = ready or front.readiness
    app = _base_app(front.authenticate)
    app.include_router(api_router(front, root=root))
    _add_socket(app, front, web)
    _add_health(app, ready)
    _add_statistics(app, front)

    def all_samples() -> Iterator[MetricSample]:
        yield from front_samples(front)
        yield from samples()

    _add_metrics(app, web, ready, all_samples)
    _add_contracts(app, root)
    app.router.routes.extend(board_routes())
    return app


def make_pipeline_app(
    web: WebSettings,
    *,
    authenticate: Callable[[str], Viewer],
    ready: ReadinessCheck,
    samples: SampleSource,
) -> FastAPI:
    """Return the app of a pipeline without a front: health and metrics, neither dashboards nor the API."""
    app = _base_app(authenticate)
    _add_health(app, ready)
    _add_metrics(app, web, ready, samples)
    return app


def _base_app(authenticate: Callable[[str], Viewer]) -> FastAPI:
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
            await websocket.send_denial_response(refusal)
            return
        await websocket.accept(select_subprotocol(websocket.scope["subprotocols"]))
        peer = websocket.client.host if websocket.client is not None else "?"
        await front.serve(StarletteSocket(websocket), handshake_token=token, peer=peer)


def _add_health(app: FastAPI, ready: ReadinessCheck) -> None:
    @app.get("/health/live", summary="Report that the process responds")
    async def live() -> Response:
        return json_response({"live": True})

    @app.get("/health/ready", summary="Report whether data is live; 503 with the reason if not")
    async def readiness() -> Response:
        is_ready, reason = ready()
        return json_response({"ready": is_ready, "reason": reason}, status=200 if is_ready else 503)


def _add_statistics(app: FastAPI, front: Front) -> None:
    @app.get("/ws/health", summary="Report connections, subscriptions and the accounting of all outboxes; admins only")
    async def statistics(request: Request) -> Response:
        require_admin(request)
        return json_response(front.statistics())


def _add_metrics(app: FastAPI, web: WebSettings, ready: ReadinessCheck, samples: SampleSource) -> None:
    def all_samples() -> Iterator[MetricSample]:
        yield MetricSample(Metric.READY, float(ready()[0]))
        yield from samples()

    metrics = MetricsEndpoint(all_samples)

    @app.get("/metrics", summary="Export Prometheus metrics; admins only, except from this machine")
    async def prometheus(request: Request) -> Response:
        if not is_loopback(request, behind_proxy=bool(web.trusted_proxies)):
            require_admin(request)
        return metrics.response()


def _add_contracts(app: FastAPI, root: str) -> None:
    catalogue, document = json_response(schemas.catalogue()), json_response(schemas.asyncapi_document(root))

    @app.get("/ws/events", summary="List the event types with their schemas, and the subscription types")
    async def event_types() -> Response:
        return catalogue

    @app.get("/asyncapi.json", summary="Get the AsyncAPI 3 document of all topics and frames")
    async def asyncapi() -> Response:
        return document
