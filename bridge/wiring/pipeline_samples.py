"""Metric samples of the pipeline and of its lines."""

from collections.abc import Iterator, Mapping
from typing import Final

from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.state import SequenceGaps
from bridge.pipeline.status import PipelineStatus
from bridge.ports.metrics import Metric, MetricSample

_METRIC_OF_EFFECT: Final = {
    "applied": Metric.PIPELINE_APPLIED,
    "suppressed": Metric.PIPELINE_SUPPRESSED,
    "quarantined": Metric.PIPELINE_QUARANTINED,
}


def pipeline_samples(status: PipelineStatus) -> Iterator[MetricSample]:
    """Yield the accounting of promise P6: received = applied + suppressed + quarantined + in flight, for each kind."""
    yield MetricSample(Metric.PIPELINE_READY, float(status.ready))
    yield MetricSample(Metric.PIPELINE_OFFSET, status.offset)
    yield MetricSample(Metric.PIPELINE_UNKNOWN_FIELDS, status.unknown_fields)
    for kind, count in sorted(status.received.items()):
        yield MetricSample(Metric.PIPELINE_RECEIVED, count, {"kind": kind})
        yield MetricSample(Metric.PIPELINE_IN_FLIGHT, status.in_flight.get(kind, 0), {"kind": kind})
        yield MetricSample(Metric.PIPELINE_UNACCOUNTED, status.unaccounted.get(kind, 0), {"kind": kind})
    for (kind, effect, reason), count in sorted(status.counters.items()):
        labels = {"kind": kind} if effect == "applied" else {"kind": kind, "reason": reason}
        yield MetricSample(_METRIC_OF_EFFECT[effect], count, labels)


def gap_samples(by_line: Mapping[str, SequenceGaps]) -> Iterator[MetricSample]:
    """Yield the numbers of each line's missing reports, and of those without a known place in the sequence."""
    for line, gaps in sorted(by_line.items()):
        yield MetricSample(Metric.MISSING_REPORTS, gaps.missed, {"line": line})
        yield MetricSample(Metric.MISSING_REPORTS_FILLED_LATE, gaps.filled, {"line": line})
        yield MetricSample(Metric.UNPLACED_REPORTS, gaps.unplaced, {"line": line})


def ineffective_samples(by_line: Mapping[str, int]) -> Iterator[MetricSample]:
    """Yield the number of each line's devices whose reports arrive without effect."""
    for line, count in sorted(by_line.items()):
        yield MetricSample(Metric.DEVICES_INEFFECTIVE, count, {"line": line})


def counter_samples(by_machine: Mapping[tuple[str, str], CounterFit]) -> Iterator[MetricSample]:
    """Yield the numbers of pieces in doubt of each machine that ever had any."""
    for (line, equipment), fit in sorted(by_machine.items()):
        labels = {"line": line, "equipment": equipment}
        yield MetricSample(Metric.PIECES_HELD, fit.held, labels)
        yield MetricSample(Metric.PIECES_RELEASED, fit.released, labels)
        yield MetricSample(Metric.PIECES_REFUSED, fit.refused, labels)
        yield MetricSample(Metric.MAX_RATE_TOO_LOW, float(fit.max_rate_is_too_low), labels)
