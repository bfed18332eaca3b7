"""The counter table of DOMAIN, «Counters», for two marks of one register: what the later one says by itself.

The ceiling, what the machine can make in the time between the marks, tells pieces from wraps, resets, jitter and
nonsense. A wrap is believed only where the reach, what the machine is likely to have made, is below half the modulus
and the device was there all the time: otherwise a reset looks the same.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from bridge.domain.line.counters.registers import (
    ChangeKind,
    RegisterSample,
    SuspectSample,
    elapsed_ms,
    lag_after,
    rate_of,
)

LONG_GAP_MS: Final = 60_000  # what was made before a reset within a longer time is worth a flag
CERTAIN_DIVISOR: Final = 8  # a reach above this part of the modulus is not certain to have wrapped at all
MAX_RATE_RATIO: Final = (
    2.0  # a machine runs at most so many times faster, from one step to the next, or than ever before
)
MAX_PIECES: Final = 10**9  # pieces in one step: no machine makes more, and their sums stay within 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterLimits:
    """How a register behaves."""

    modulus: int | None = None
    max_rate_per_minute: float = 6_000.0
    slack: int = 10
    max_dip: int = 5

    def ceiling(self, elapsed_ms: int, *, per_minute: float | None = None) -> float:
        """Return how many pieces can at most have been made in that time."""
        rate = self.max_rate_per_minute if per_minute is None else per_minute
        return rate * max(elapsed_ms, 0) / 60_000 + self.slack

    def normalize(self, value: int) -> int:
        return value if self.modulus is None else value % self.modulus  # a signed wrap is the same number


class RegisterChange(NamedTuple):
    """What lies between two marks."""

    pieces: int
    kind: ChangeKind
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class CounterTable:
    """The rule, and what the register itself has shown: its `usual` greatest rate, and a `pace` beyond the rule's."""

    limits: RegisterLimits
    usual_rate: float = 0.0
    pace: float = 0.0

    @property
    def max_rate(self) -> float:
        """The rate below which pieces are believed; a proven pace beyond it may go on."""
        return max(self.limits.max_rate_per_minute, MAX_RATE_RATIO * self.pace)

    @property
    def likely_rate(self) -> float:
        """The rate that the machine is likely to keep below."""
        return min(self.max_rate, MAX_RATE_RATIO * self.usual_rate) if self.usual_rate else self.max_rate

    def explain(self, before: RegisterSample, after: RegisterSample, *, may_be_reset: bool) -> RegisterChange | None:
        """Return the row that explains the later mark at once; `cut`: the register may have been lost between."""
        up, down = self._distances(before, after)
        elapsed = elapsed_ms(before, after)
        ceiling = self.limits.ceiling(elapsed, per_minute=self.max_rate)
        if up == 0:
            return RegisterChange(0, "count")
        as_well_a_reset = may_be_reset and after.value <= min(ceiling, CERTAIN_DIVISOR * self._dip)  # so close to 0
        if after.value != 0 and 0 < down <= self._dip and not as_well_a_reset:
            return RegisterChange(0, "dip")
        if after.value > before.value:
            unsure = (may_be_reset and after.value <= ceiling) or self._is_unsure(up, elapsed)  # it may have begun anew
            return RegisterChange(up, "count", unsure) if up <= min(ceiling, MAX_PIECES) else None
        if may_be_reset or after.value == 0:  # one that reads 0 was reset, or not read at all, more often than not
            return None
        return self._wrap(up, elapsed)

    def make_suspect(
        self, before: RegisterSample, after: RegisterSample, *, may_be_reset: bool, last: RegisterSample | None = None
    ) -> SuspectSample:
        """Return what a mark that is not explained would be if the next one confirms it; `last` came before it."""
        up, down = self._distances(before, after)
        elapsed = elapsed_ms(before, after)
        ceiling = self.limits.ceiling(elapsed, per_minute=self.max_rate)
        if after.value > before.value:
            pieces, verdict, estimated = self._rise(up, down, ceiling)
        else:
            pieces, verdict, estimated = self._fall(up, after.value, elapsed, may_be_reset=may_be_reset)
        rebased = verdict == "rebase"  # nothing was made on the way to it that would take up a lag
        step = self._distances(last or before, after)[0]
        return SuspectSample(
            after.value,
            after.at,
            after.dated,
            after.boot_id,
            0 if rebased else lag_after(before, after, pieces, per_minute=self.limits.max_rate_per_minute),
            pieces=pieces,
            verdict=verdict,
            estimated=estimated,
            rate=rate_of(max(step, 0), elapsed_ms(last or before, after)),
            cut=may_be_reset,
        )

    def step_at_same_rate(self, suspect: SuspectSample, after: RegisterSample) -> RegisterChange | None:
        """Return the step of a jump that goes on about as fast: then it is the greatest rate that does not fit."""
        up, _ = self._distances(suspect, after)
        rate = rate_of(max(up, 0), elapsed_ms(suspect, after))
        if suspect.verdict != "released" or up <= 0 or not self._is_possible(up):
            return None
        steady = suspect.rate / MAX_RATE_RATIO <= rate <= suspect.rate * MAX_RATE_RATIO
        return RegisterChange(up, "released", estimated=True) if steady else None

    def is_above_max_rate(self, pieces: int, elapsed: int) -> bool:
        """Whether so many pieces are more than the plant file's greatest rate allows."""
        return pieces > self.limits.ceiling(elapsed)

    def _rise(self, up: int, down: int, ceiling: float) -> tuple[int, ChangeKind, bool]:
        if self.limits.modulus is not None and down <= ceiling:
            return 0, "rebase", True  # set back across 0
        return up, "released" if self._is_possible(up) else "rebase", True

    def _fall(self, up: int, value: int, elapsed: int, *, may_be_reset: bool) -> tuple[int, ChangeKind, bool]:
        wrapped = None if may_be_reset else self._wrap(up, elapsed)
        if wrapped is not None:
            return wrapped.pieces, "rollover", wrapped.estimated
        may_have_wrapped = (
            not may_be_reset and self.limits.modulus is not None and up <= self._likely_pieces(elapsed, self.max_rate)
        )
        if 0 <= value <= min(self.limits.ceiling(elapsed, per_minute=self.max_rate), MAX_PIECES):
            unsure = may_be_reset or may_have_wrapped or elapsed > LONG_GAP_MS or self.is_above_max_rate(value, elapsed)
            return value, "reset", unsure
        return max(value, 0), "rebase", True  # lower, and more than can have been made since a reset

    def _wrap(self, up: int, elapsed: int) -> RegisterChange | None:
        modulus, reach = self.limits.modulus, self._likely_pieces(elapsed, self.likely_rate)
        if modulus is None or up > reach or reach > modulus / 2:
            return None
        return RegisterChange(
            up, "rollover", estimated=reach > modulus / CERTAIN_DIVISOR or self.is_above_max_rate(up, elapsed)
        )

    def _is_unsure(self, up: int, elapsed: int) -> bool:
        """Whether a climb needs more than the greatest rate, or may hide whole rounds of the register."""
        modulus = self.limits.modulus
        return self.is_above_max_rate(up, elapsed) or (
            modulus is not None and self._likely_pieces(elapsed, self.likely_rate) >= modulus
        )

    def _is_possible(self, up: int) -> bool:
        modulus = self.limits.modulus
        return up <= MAX_PIECES and (
            modulus is None or up <= modulus / 2
        )  # beyond half of it, up cannot be told from down

    def _likely_pieces(self, elapsed: int, per_minute: float) -> float:
        slack = (
            self.limits.slack
            if self.limits.modulus is None
            else min(self.limits.slack, self.limits.modulus // CERTAIN_DIVISOR)
        )
        return per_minute * elapsed / 60_000 + slack

    @property
    def _dip(self) -> int:
        modulus = self.limits.modulus
        return self.limits.max_dip if modulus is None else min(self.limits.max_dip, modulus // CERTAIN_DIVISOR)

    def _distances(self, before: RegisterSample, after: RegisterSample) -> tuple[int, int]:
        """Return how far the register went up, and how far down, if it went that way."""
        up = after.value - before.value
        return (up, -up) if self.limits.modulus is None else (up % self.limits.modulus, -up % self.limits.modulus)
