"""The `ts` as the identity of a report: what a clock has to do before its dates prove anything."""

from bridge.core.line.identity import TICKS, Stamp
from tests.core.line.shopfloor import T0

STEP_MS = 1_001  # not of whole seconds


def advanced() -> Stamp:
    stamp = Stamp()
    for number in range(TICKS + 1):
        stamp.note(T0 + number * STEP_MS, number, received_at=T0 + number * STEP_MS)
    return stamp


def test_a_clock_that_moved_on_identifies_reports_and_starts() -> None:
    stamp = advanced()
    assert stamp.identifies
    assert stamp.proves_same_start(T0 + TICKS * STEP_MS, received_at=T0 + TICKS * STEP_MS)


def test_a_clock_that_went_back_has_to_move_on_again() -> None:
    stamp = advanced()
    later = T0 + 2 * TICKS * STEP_MS
    stamp.note(T0, TICKS + 1, received_at=later)
    assert not stamp.identifies
    assert not stamp.proves_same_start(T0, received_at=later)
