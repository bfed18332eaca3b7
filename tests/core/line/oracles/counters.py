"""A true count of pieces, and the register a device would show of it: wraps, signed words, resets by hand.

Written from DOMAIN's table alone; shares no code with bridge.core.line.counters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_RATE = 600.0  # per minute: 10 a second
SLACK = 10


@dataclass(frozen=True)
class Step:
    """Time passes, pieces are made, and perhaps somebody sets the register to zero before they are."""

    seconds: int
    pieces: int
    reset: bool = False


@dataclass(frozen=True)
class Sample:
    shown: int
    at_ms: int
    true_total: int  # pieces made since the first sample


def ceiling(seconds: float) -> float:
    return MAX_RATE / 60 * seconds + SLACK


def device(first: int, steps: Iterable[Step], *, modulus: int | None, signed: bool) -> Iterator[Sample]:
    """Show a counter as a PLC would; resets happen only where a reader can know them from a dip or a wrap."""

    def show(value: int) -> int:
        if modulus is None:
            return value
        word = value % modulus
        return word - modulus if signed and word >= modulus // 2 else word

    at, total, register = 1_000_000, 0, first if modulus is None else first % modulus
    yield Sample(show(register), at, 0)
    for step in steps:
        at += step.seconds * 1000
        made = int(min(step.pieces, ceiling(step.seconds)))
        if step.reset and knowable(register, made, step.seconds, modulus):
            register = 0
        register += made
        total += made
        if modulus is not None:
            register %= modulus
        yield Sample(show(register), at, total)


def knowable(register: int, made: int, seconds: int, modulus: int | None) -> bool:
    """After a reset to zero and `made` pieces, no other reading of the sample is possible: it lies lower than before,
    by more than a dip (or at nothing), and not within a wrap's reach."""
    if made >= register or (made > 0 and register - made <= 5):
        return False
    return modulus is None or made - register + modulus > ceiling(seconds)
