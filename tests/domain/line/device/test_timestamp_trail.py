"""The `ts` as the identity of a report: what a clock has to do before its dates prove anything."""

from bridge.domain.line.device.timestamp_trail import TICKS, TimestampTrail
from tests.support.packing_line import T0

STEP_MS = 1_001  # not of whole seconds


def advanced() -> TimestampTrail:
    trail = TimestampTrail()
    for number in range(TICKS + 1):
        trail.record(T0 + number * STEP_MS, number, received_at=T0 + number * STEP_MS)
    return trail


def test_a_clock_that_moved_on_identifies_reports_and_starts() -> None:
    trail = advanced()
    assert trail.has_unique_timestamps
    assert trail.is_proven_same_start(T0 + TICKS * STEP_MS, received_at=T0 + TICKS * STEP_MS)


def test_a_clock_that_went_back_has_to_move_on_again() -> None:
    trail = advanced()
    later = T0 + 2 * TICKS * STEP_MS
    trail.record(T0, TICKS + 1, received_at=later)
    assert not trail.has_unique_timestamps
    assert not trail.is_proven_same_start(T0, received_at=later)
