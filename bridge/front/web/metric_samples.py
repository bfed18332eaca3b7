"""Metric samples, those of the front among them, and their rendering for Prometheus."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import HTTPConnection
from starlette.responses import Response
from typing_extensions import override

from bridge.front.front import Front
from bridge.ports.metrics import Metric, MetricSample, SampleSource


def front_samples(front: Front) -> Iterator[MetricSample]:
    """Yield the front's statistics as samples, which name no user and no topic."""
    statistics, ledger = front.statistics(), front.ledger()
    for metric, name in _STATISTICS.items():
        yield MetricSample(metric, float(statistics[name]))
    for subscription_type, count in statistics["subscriptions"].items():
        yield MetricSample(Metric.DASHBOARD_SUBSCRIPTIONS, count, {"subscription_type": subscription_type})
    for outcome, counts in ledger.totals().items():
        for event_type, count in sorted(counts.items()):
            yield MetricSample(Metric.DASHBOARD_EVENTS, count, {"outcome": outcome, "type": event_type.value})
    for event_type, count in sorted(ledger.pending.items()):
        yield MetricSample(Metric.DASHBOARD_EVENTS_PENDING, count, {"type": event_type.value})


_STATISTICS: Final = {
    Metric.DASHBOARD_CONNECTIONS: "connections",
    Metric.DASHBOARD_AUTHENTICATED: "authenticated",
    Metric.DASHBOARD_USERS: "users",
    Metric.DASHBOARD_ROUTES: "routes",
    Metric.DASHBOARD_WAITING_EVENTS: "waiting_events",
    Metric.DASHBOARD_WAITING_BYTES: "waiting_bytes",
    Metric.DASHBOARD_CATCHING_UP: "catching_up",
    Metric.DASHBOARD_BALANCED: "balanced",
    Metric.DASHBOARD_SNAPSHOT_BUILDS: "snapshot_builds",
}


class _Collector(Collector):
    def __init__(self, samples: SampleSource) -> None:
        self._samples = samples

    @override
    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        families: dict[Metric, CounterMetricFamily | GaugeMetricFamily] = {}
        for sample in self._samples():
            metric, definition = sample.metric, sample.metric.value
            family = families.get(metric)
            if family is None:
                family_type = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
                family = family_type(f"floor_{metric.name.lower()}", definition.help, labels=definition.labels)
                families[metric] = family
            family.add_metric([sample.labels[label] for label in definition.labels], sample.value)
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
