"""Health checks and metrics of a process, the same on every web server of the bridge."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bridge.http.access import Authenticate, is_loopback, require_admin
from bridge.http.prometheus import PrometheusExporter
from bridge.http.responses import HttpResponse, json_response
from bridge.ports.metrics import Metric, MetricSample, SampleSource

ReadinessCheck = Callable[[], tuple[bool, str]]
"""Returns whether the process is ready, and a short reason."""


@dataclass(frozen=True, slots=True)
class MonitoringRequest:
    """What decides about a request: its header, with names in lower case, and the address of its client."""

    headers: Mapping[str, str]
    client_host: str | None


class Monitoring:
    """The monitoring of one process. `behind_proxy`: its clients connect through a reverse proxy."""

    def __init__(
        self, *, ready: ReadinessCheck, samples: SampleSource, authenticate: Authenticate, behind_proxy: bool
    ) -> None:
        self._ready = ready
        self._samples = samples
        self._authenticate = authenticate
        self._behind_proxy = behind_proxy
        self._exporter = PrometheusExporter(self._all_samples)

    def live(self, _: MonitoringRequest) -> HttpResponse:
        return json_response({"live": True})

    def readiness(self, _: MonitoringRequest) -> HttpResponse:
        is_ready, reason = self._ready()
        status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return json_response({"ready": is_ready, "reason": reason}, status=status)

    def metrics(self, request: MonitoringRequest) -> HttpResponse:
        """Return the metrics for Prometheus; raise as `require_admin`, unless the client is on this machine."""
        if not is_loopback(request.client_host, request.headers, behind_proxy=self._behind_proxy):
            require_admin(request.headers.get("authorization"), self._authenticate)
        return HttpResponse(HTTPStatus.OK, self._exporter.render(), CONTENT_TYPE_LATEST)

    def _all_samples(self) -> Iterator[MetricSample]:
        yield MetricSample(Metric.READY, float(self._ready()[0]))
        yield from self._samples()
