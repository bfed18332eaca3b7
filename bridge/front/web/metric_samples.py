"""Metric samples of the pipeline, the lines and the front, and their rendering for Prometheus."""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import HTTPConnection
from starlette.responses import Response
from typing_extensions import override

from bridge.front.web.metrics import METRICS


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One sample: `name` as in `METRICS`, its current value, its labels."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


SampleSource = Callable[[], Iterable[MetricSample]]
"""Called at every scrape, on the event loop."""


class GapCounts(Protocol):
    """Counts of a line's reports: missing, missing but received late, and of unknown place in the sequence."""

    @property
    def missed(self) -> int: ...
    @property
    def filled(self) -> int: ...
    @property
    def unplaced(self) -> int: ...


class PieceCounts(Protocol):
    """A machine's pieces that are or were in doubt, and whether it proved faster than its maximum rate."""

    @property
    def held(self) -> int: ...
    @property
    def released(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def max_rate_is_too_low(self) -> bool: ...


class PipelineStatus(Protocol):
    """Status of the pipeline; `counters` holds inputs by (kind, effect, reason)."""

    @property
    def ready(self) -> bool: ...
    @property
    def offset(self) -> int: ...
    @property
    def unknown_fields(self) -> int: ...
    @property
    def received(self) -> Mapping[str, int]: ...
    @property
    def in_flight(self) -> Mapping[str, int]: ...
    @property
    def unaccounted(self) -> Mapping[str, int]: ...
    @property
    def counters(self) -> Mapping[tuple[str, str, str], int]: ...


def pipeline_samples(status: PipelineStatus) -> Iterator[MetricSample]:
    """Yield the accounting of promise P6: received = applied + suppressed + quarantined + in flight, for each kind."""
    yield MetricSample("pipeline_ready", float(status.ready))
    yield MetricSample("pipeline_offset", status.offset)
    yield MetricSample("pipeline_unknown_fields", status.unknown_fields)
    for kind, count in sorted(status.received.items()):
        yield MetricSample("pipeline_received", count, {"kind": kind})
        yield MetricSample("pipeline_in_flight", status.in_flight.get(kind, 0), {"kind": kind})
        yield MetricSample("pipeline_unaccounted", status.unaccounted.get(kind, 0), {"kind": kind})
    for (kind, effect, reason), count in sorted(status.counters.items()):
        labels = {"kind": kind} if effect == "applied" else {"kind": kind, "reason": reason}
        yield MetricSample(f"pipeline_{effect}", count, labels)


def gap_samples(by_line: Mapping[str, GapCounts]) -> Iterator[MetricSample]:
    """Yield the numbers of each line's missing reports, and of those without a known place in the sequence."""
    for line, gaps in sorted(by_line.items()):
        yield MetricSample("missing_reports", gaps.missed, {"line": line})
        yield MetricSample("missing_reports_filled_late", gaps.filled, {"line": line})
        yield MetricSample("unplaced_reports", gaps.unplaced, {"line": line})


def ineffective_samples(by_line: Mapping[str, int]) -> Iterator[MetricSample]:
    """Yield the number of each line's devices whose reports arrive without effect."""
    for line, count in sorted(by_line.items()):
        yield MetricSample("devices_ineffective", count, {"line": line})


def counter_samples(by_machine: Mapping[tuple[str, str], PieceCounts]) -> Iterator[MetricSample]:
    """Yield the numbers of pieces in doubt of each machine that ever had any."""
    for (line, equipment), fit in sorted(by_machine.items()):
        labels = {"line": line, "equipment": equipment}
        yield MetricSample("pieces_held", fit.held, labels)
        yield MetricSample("pieces_released", fit.released, labels)
        yield MetricSample("pieces_refused", fit.refused, labels)
        yield MetricSample("max_rate_too_low", float(fit.max_rate_is_too_low), labels)


def front_samples(statistics: Mapping[str, Any]) -> Iterator[MetricSample]:
    """Yield the front's statistics as samples, which name no user and no topic."""
    for name, value in statistics.items():
        if name == "ledger":
            for column, counts in value.items():
                for event_type, count in counts.items():
                    yield MetricSample("dashboard_events", count, {"outcome": column, "type": event_type})
        elif name == "subscriptions":
            for subscription_type, count in value.items():
                yield MetricSample("dashboard_subscriptions", count, {"subscription_type": subscription_type})
        else:
            yield MetricSample(f"dashboard_{name}", float(value))


class _Collector(Collector):
    def __init__(self, samples: SampleSource) -> None:
        self._samples = samples

    @override
    def collect(self) -> Iterable[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for number in self._samples():
            family = families.get(number.name)
            if family is None:
                meaning = METRICS[number.name]
                kind = CounterMetricFamily if meaning.kind == "counter" else GaugeMetricFamily
                family = kind(f"floor_{number.name}", meaning.help, labels=list(number.labels))
                families[number.name] = family
            family.add_metric(list(number.labels.values()), number.value)
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
