"""FastAPI app of every process: health and metrics. A front adds its routes; a pipeline alone has no others."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from http import HTTPStatus

from fastapi import FastAPI, Request
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from bridge.http.access import Authenticate, require_admin
from bridge.http.answer_parts import AnswerParts
from bridge.http.error_handlers import add_error_handlers
from bridge.http.head_requests import HeadAsGet
from bridge.http.openapi import TOKEN, error_responses, openapi_document
from bridge.http.prometheus import PrometheusExporter
from bridge.http.responses import json_response
from bridge.http.security_headers import SecurityHeaders
from bridge.ports.metrics import Metric, MetricSample, SampleSource

ReadinessCheck = Callable[[], tuple[bool, str]]
"""Returns whether the process is ready, and a short reason."""


def make_monitoring_app(
    *,
    authenticate: Authenticate | None,
    ready: ReadinessCheck,
    samples: SampleSource,
    api_version: str | None = None,
) -> FastAPI:
    """Return an app with health and metrics.

    `authenticate`: finds the admins who may read the metrics; None: anyone may, for a listener of their own.
    `api_version`: of the API that the caller adds, which `/openapi.json` then describes; None: there is none.
    """
    app = FastAPI(
        title="floor-bridge",
        version=api_version or "0",
        description="HTTP interface for dashboards. /asyncapi.json describes the WebSocket at /ws.",
        openapi_url="/openapi.json" if api_version else None,
        docs_url=None,  # FastAPI's pages load scripts from a CDN: they need a network, and our CSP forbids them
        redoc_url=None,
        root_path_in_servers=False,
    )
    app.state.authenticate = authenticate
    app.openapi = cache(partial(openapi_document, app))  # type: ignore[method-assign]  # FastAPI's way to replace it
    add_error_handlers(app)
    for middleware in (AnswerParts, SecurityHeaders, HeadAsGet):
        app.add_middleware(middleware)
    _add_health(app, ready)
    _add_metrics(app, ready, samples, is_open=authenticate is None)
    return app


def _add_health(app: FastAPI, ready: ReadinessCheck) -> None:
    @app.get("/health/live", summary="Report that the process responds")
    async def live() -> Response:
        return json_response({"live": True})

    @app.get(
        "/health/ready",
        summary="Report whether data is live; 503 with the reason if not",
        responses={int(HTTPStatus.SERVICE_UNAVAILABLE): {"description": "not ready: the same fields"}},
    )
    async def readiness() -> Response:
        is_ready, reason = ready()
        return json_response({"ready": is_ready, "reason": reason}, status=200 if is_ready else 503)


def _add_metrics(app: FastAPI, ready: ReadinessCheck, samples: SampleSource, *, is_open: bool) -> None:
    def all_samples() -> Iterator[MetricSample]:
        yield MetricSample(Metric.READY, float(ready()[0]))
        yield from samples()

    exporter = PrometheusExporter(all_samples)

    @app.get(
        "/metrics",
        summary="Export Prometheus metrics; admins only",
        response_class=Response,
        responses={
            int(HTTPStatus.OK): {"content": {"text/plain": {}}},
            **error_responses(HTTPStatus.FORBIDDEN),
        },
        openapi_extra=dict(TOKEN),
    )
    async def prometheus(request: Request) -> Response:
        if not is_open:
            await require_admin(request)
        return Response(exporter.render(), media_type=CONTENT_TYPE_LATEST)
