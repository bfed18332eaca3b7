"""Metric samples of the pipeline and of its lines."""

from collections.abc import Iterator, Mapping

from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.state import SequenceGaps
from bridge.pipeline.status import PipelineStatus
from bridge.ports.metrics import MetricSample


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


def gap_samples(by_line: Mapping[str, SequenceGaps]) -> Iterator[MetricSample]:
    """Yield the numbers of each line's missing reports, and of those without a known place in the sequence."""
    for line, gaps in sorted(by_line.items()):
        yield MetricSample("missing_reports", gaps.missed, {"line": line})
        yield MetricSample("missing_reports_filled_late", gaps.filled, {"line": line})
        yield MetricSample("unplaced_reports", gaps.unplaced, {"line": line})


def ineffective_samples(by_line: Mapping[str, int]) -> Iterator[MetricSample]:
    """Yield the number of each line's devices whose reports arrive without effect."""
    for line, count in sorted(by_line.items()):
        yield MetricSample("devices_ineffective", count, {"line": line})


def counter_samples(by_machine: Mapping[tuple[str, str], CounterFit]) -> Iterator[MetricSample]:
    """Yield the numbers of pieces in doubt of each machine that ever had any."""
    for (line, equipment), fit in sorted(by_machine.items()):
        labels = {"line": line, "equipment": equipment}
        yield MetricSample("pieces_held", fit.held, labels)
        yield MetricSample("pieces_released", fit.released, labels)
        yield MetricSample("pieces_refused", fit.refused, labels)
        yield MetricSample("max_rate_too_low", float(fit.max_rate_is_too_low), labels)
