"""Metric samples, those of the front among them, and their rendering for Prometheus."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import HTTPConnection
from starlette.responses import Response
from typing_extensions import override

from bridge.front.front import Front
from bridge.front.web.metrics import METRICS
from bridge.ports.metrics import MetricSample, SampleSource


def front_samples(front: Front) -> Iterator[MetricSample]:
    """Yield the front's statistics as samples, which name no user and no topic."""
    statistics, ledger = front.statistics(), front.ledger()
    for name in (*_FRONT_GAUGES, "snapshot_builds"):
        yield MetricSample(f"dashboard_{name}", float(statistics[name]))
    for subscription_type, count in statistics["subscriptions"].items():
        yield MetricSample("dashboard_subscriptions", count, {"subscription_type": subscription_type})
    for outcome, counts in ledger.totals().items():
        for event_type, count in sorted(counts.items()):
            yield MetricSample("dashboard_events", count, {"outcome": outcome, "type": event_type.value})
    for event_type, count in sorted(ledger.pending.items()):
        yield MetricSample("dashboard_events_pending", count, {"type": event_type.value})


_FRONT_GAUGES: Final = (
    "connections",
    "authenticated",
    "users",
    "routes",
    "waiting_events",
    "waiting_bytes",
    "catching_up",
    "balanced",
)


class _Collector(Collector):
    def __init__(self, samples: SampleSource) -> None:
        self._samples = samples

    @override
    def collect(self) -> Iterable[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for sample in self._samples():
            family = families.get(sample.name)
            if family is None:
                definition = METRICS[sample.name]
                family_type = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
                family = family_type(f"floor_{sample.name}", definition.help, labels=list(sample.labels))
                families[sample.name] = family
            family.add_metric(list(sample.labels.values()), sample.value)
        return families.values()


class MetricsEndpoint:
    """Renders samples in Prometheus' text format, from a registry of its own."""

    def __init__(self, samples: SampleSource) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(samples))

    def response(self) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def is_loopback(connection: HTTPConnection, *, behind_proxy: bool) -> bool:
    """Return whether the client is on this machine; always False behind a proxy, where every client seems to be."""
    forwarded = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
    if behind_proxy or connection.client is None or any(name in connection.headers for name in forwarded):
        return False
    try:
        address = ipaddress.ip_address(connection.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
