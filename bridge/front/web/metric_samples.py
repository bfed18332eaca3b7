"""How the process is, for those who operate it: liveness, readiness, statistics, and Prometheus metrics."""

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
    """One sample: `name` as in `MEANINGS`, its value now, its labels."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


SampleSource = Callable[[], Iterable[MetricSample]]
"""Called at every scrape, on the loop."""


class GapCounts(Protocol):
    """Reports of a line that were missing, those of them that came late after all, and those of unknown place."""

    @property
    def missed(self) -> int: ...
    @property
    def filled(self) -> int: ...
    @property
    def unplaced(self) -> int: ...


class PieceCounts(Protocol):
    """Pieces of a machine that are in doubt, or were; and whether its greatest rate was seen to be too low."""

    @property
    def held(self) -> int: ...
    @property
    def released(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def max_rate_is_too_low(self) -> bool: ...


class PipelineStatus(Protocol):
    """What the pipeline says of itself; `counters`: inputs by (kind, effect, reason)."""

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
    """The accounting of promise P6: received = applied + suppressed + quarantined + in flight, for each kind."""
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
    """What was missing of each line's reports, and what could not be placed among them."""
    for line, gaps in sorted(by_line.items()):
        yield MetricSample("missing_reports", gaps.missed, {"line": line})
        yield MetricSample("missing_reports_filled_late", gaps.filled, {"line": line})
        yield MetricSample("unplaced_reports", gaps.unplaced, {"line": line})


def ineffective_samples(by_line: Mapping[str, int]) -> Iterator[MetricSample]:
    """How many devices of each line are alive and without effect."""
    for line, count in sorted(by_line.items()):
        yield MetricSample("devices_ineffective", count, {"line": line})


def counter_samples(by_machine: Mapping[tuple[str, str], PieceCounts]) -> Iterator[MetricSample]:
    """Pieces in doubt of each machine whose counters ever left any."""
    for (line, equipment), fit in sorted(by_machine.items()):
        labels = {"line": line, "equipment": equipment}
        yield MetricSample("pieces_held", fit.held, labels)
        yield MetricSample("pieces_released", fit.released, labels)
        yield MetricSample("pieces_refused", fit.refused, labels)
        yield MetricSample("max_rate_too_low", float(fit.max_rate_is_too_low), labels)


def front_samples(statistics: Mapping[str, Any]) -> Iterator[MetricSample]:
    """The front's statistics as samples: no user, no topic among them."""
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
    """Renders the numbers in Prometheus' text format, from a registry of its own."""

    def __init__(self, samples: SampleSource) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(samples))

    def response(self) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def is_loopback(connection: HTTPConnection, *, behind_proxy: bool) -> bool:
    """Whether the asker sits on this machine. Behind a proxy everybody seems to, so nobody counts."""
    forwarded = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
    if behind_proxy or connection.client is None or any(name in connection.headers for name in forwarded):
        return False
    try:
        address = ipaddress.ip_address(connection.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
