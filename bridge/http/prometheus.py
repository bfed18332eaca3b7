"""Metric samples in the text format of Prometheus."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from bridge.http.metrics import METRICS
from bridge.ports.metrics import SampleSource


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


class PrometheusExporter:
    """Renders samples in Prometheus' text format, from a registry of its own."""

    def __init__(self, samples: SampleSource) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(samples))

    def render(self) -> bytes:
        return generate_latest(self._registry)
