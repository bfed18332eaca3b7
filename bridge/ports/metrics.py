"""The port to the metrics: each side of the bridge yields samples, and its web server renders them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One sample: `name` as in `http/metrics.py`, its current value, its labels."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


SampleSource = Callable[[], Iterable[MetricSample]]
"""Called at every scrape, on the event loop."""
