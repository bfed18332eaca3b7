"""Metric samples in the text format of Prometheus."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from bridge.ports.metrics import Metric, SampleSource


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


class PrometheusExporter:
    """Renders samples in Prometheus' text format, from a registry of its own."""

    def __init__(self, samples: SampleSource) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(samples))

    def render(self) -> bytes:
        return generate_latest(self._registry)
