"""What a device's counter says about pieces made: the counter table of DOMAIN, «Counters», as one pure function.

A register counts up, wraps at its modulus, is reset by hand or by power, dips when an encoder jitters, and jumps when
somebody writes to it. The ceiling, what the machine can make in the time between two samples, tells these apart.
"""

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from bridge.core.events import Millis

Kind = Literal["baseline", "count", "rollover", "reset", "dip", "held", "released", "rebase", "duplicate"]


class Register(Struct):
    """The last believed value and when it was read; `held` is a jump that waits for the next sample to bear it out."""

    value: int
    at: Millis
    held: int | None = None
    held_at: Millis = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a register behaves. `corrections` lets a dip take pieces back."""

    modulus: int | None = None
    max_rate_per_minute: float = 6_000.0
    slack: int = 10
    max_dip: int = 5
    corrections: bool = False

    def ceiling(self, elapsed_ms: int) -> float:
        """Return how many pieces can at most have been made in that time."""
        return self.max_rate_per_minute * max(elapsed_ms, 0) / 60_000 + self.slack


@dataclass(frozen=True, slots=True)
class Reading:
    """What one sample adds: `delta` pieces, and the row of the table that says so."""

    register: Register
    delta: int
    kind: Kind

    @property
    def estimated(self) -> bool:
        return self.kind == "released"


def read(register: Register | None, sample: int, *, at: Millis, rule: Rule) -> Reading:
    """Judge a sample against the register before it; the register given is not changed."""
    value = sample if rule.modulus is None else sample % rule.modulus  # a signed wrap is the same number
    fresh = Register(value, at)
    if register is None:
        return Reading(fresh, 0, "baseline")
    if register.held is not None:
        return _after_a_jump(register, register.held, fresh, rule)
    if value == register.value:
        return Reading(fresh, 0, "duplicate" if at == register.at else "count")
    ceiling = rule.ceiling(at - register.at)
    if value > register.value:
        if value - register.value <= ceiling:
            return Reading(fresh, value - register.value, "count")
        return Reading(Register(register.value, register.at, value, at), 0, "held")
    if rule.modulus is not None and value - register.value + rule.modulus <= ceiling:
        return Reading(fresh, value - register.value + rule.modulus, "rollover")
    # A drop to nothing is a reset however small: after a dip the register would have to climb back uncounted.
    if value > 0 and register.value - value <= rule.max_dip:
        if rule.corrections:
            return Reading(fresh, value - register.value, "dip")
        return Reading(register, 0, "dip")  # the high water mark stays, so a piece is not counted twice
    if 0 <= value <= ceiling:
        return Reading(fresh, value, "reset")
    return Reading(fresh, 0, "rebase")  # lower, and more than can have been made since a reset


def _after_a_jump(register: Register, held: int, fresh: Register, rule: Rule) -> Reading:
    climbed = fresh.value - held if rule.modulus is None else (fresh.value - held) % rule.modulus
    if 0 <= climbed <= rule.ceiling(fresh.at - register.held_at):
        return Reading(fresh, held - register.value + climbed, "released")
    return Reading(fresh, 0, "rebase")
