"""Quality rules: when a value violates or satisfies each, one function per rule. Source: domain.md, «Quality»."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from bridge.domain.plant import MeasurementLimit

WINDOW_PIECES: Final = 50  # the last pieces inspected; one bit each
CLEAR_SHARE: Final = 0.5  # of the rate limit: at the limit, one piece in and one out would raise and clear for ever


class Side(StrEnum):
    """The limit of a measurement that a value is compared with."""

    LOWER = "lower"
    UPPER = "upper"


class RuleVerdict(StrEnum):
    """Result of a rule on a sample: decides whether its alert is raised, kept or cleared."""

    VIOLATED = "broken"
    IN_HYSTERESIS = "between"  # inside the hysteresis: an active alert stays, no new one is raised
    SATISFIED = "kept"


class InspectionWindow(Struct):
    """The last pieces inspected: one bit each, newest lowest, 1 for a defect."""

    inspected: int = 0
    bits: int = 0

    @property
    def defects(self) -> int:
        return self.bits.bit_count()

    def add(self, *, inspected: int, defects: int) -> None:
        """Add a batch; the order of its pieces is not reported, so its defects count as evenly spread."""
        for piece in range(max(0, inspected - WINDOW_PIECES), inspected):
            is_defect = (piece + 1) * defects // inspected > piece * defects // inspected
            self.bits = ((self.bits << 1) | is_defect) & ((1 << WINDOW_PIECES) - 1)
        self.inspected = min(WINDOW_PIECES, self.inspected + inspected)


def judge_limit(value: float, limit: MeasurementLimit, side: Side) -> RuleVerdict:
    """Judge a value against one side of a fixed limit; a side without a limit is satisfied."""
    if side is Side.UPPER:
        bound, beyond = limit.upper, value
    else:
        bound, beyond = (None if limit.lower is None else -limit.lower), -value
    if bound is None:
        return RuleVerdict.SATISFIED
    if beyond > bound:
        return RuleVerdict.VIOLATED
    return RuleVerdict.SATISFIED if beyond <= bound - limit.hysteresis else RuleVerdict.IN_HYSTERESIS


def judge_window(window: InspectionWindow, *, rate_limit: float, count_limit: int) -> RuleVerdict:
    """Judge the last inspected pieces: the count at any time, the rate once the window is full."""
    full = window.inspected == WINDOW_PIECES
    rate = window.defects / WINDOW_PIECES
    if window.defects >= count_limit or (full and rate >= rate_limit):
        return RuleVerdict.VIOLATED
    return RuleVerdict.SATISFIED if full and rate <= rate_limit * CLEAR_SHARE else RuleVerdict.IN_HYSTERESIS
