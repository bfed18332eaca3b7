"""The counter table of DOMAIN, «Counters», for two marks of one register: what the later one says by itself.

The ceiling, what the machine can make in the time between the marks, tells pieces from wraps, resets, jitter and
nonsense. A wrap is believed only where the reach, what the machine is likely to have made, is below half the modulus
and the device was there all the time: otherwise a reset looks the same.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from bridge.core.line.registers import Kind, Mark, Suspect, elapsed_ms, lag_after, rate_of

LONG_MS: Final = 60_000  # what was made before a reset within a longer time is worth a flag
CERTAIN: Final = 8  # a reach above this part of the modulus is not certain to have wrapped at all
STEADY: Final = 2.0  # a machine runs at most so many times faster, from one step to the next, or than ever before
MOST: Final = 10**9  # pieces in one step: no machine makes more, and their sums stay within 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a register behaves."""

    modulus: int | None = None
    max_rate_per_minute: float = 6_000.0
    slack: int = 10
    max_dip: int = 5

    def ceiling(self, elapsed_ms: int, *, per_minute: float | None = None) -> float:
        """Return how many pieces can at most have been made in that time."""
        rate = self.max_rate_per_minute if per_minute is None else per_minute
        return rate * max(elapsed_ms, 0) / 60_000 + self.slack

    def normalised(self, value: int) -> int:
        return value if self.modulus is None else value % self.modulus  # a signed wrap is the same number


class Step(NamedTuple):
    """What lies between two marks."""

    pieces: int
    kind: Kind
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The rule, and what the register itself has shown: its `usual` greatest rate, and a `pace` beyond the rule's."""

    rule: Rule
    usual: float = 0.0
    pace: float = 0.0

    @property
    def greatest(self) -> float:
        """The rate below which pieces are believed; a proven pace beyond it may go on."""
        return max(self.rule.max_rate_per_minute, STEADY * self.pace)

    @property
    def likely(self) -> float:
        """The rate that the machine is likely to keep below."""
        return min(self.greatest, STEADY * self.usual) if self.usual else self.greatest

    def explain(self, before: Mark, after: Mark, *, cut: bool) -> Step | None:
        """Return the row that explains the later mark at once; `cut`: the register may have been lost between."""
        up, down = self._distances(before, after)
        elapsed = elapsed_ms(before, after)
        ceiling = self.rule.ceiling(elapsed, per_minute=self.greatest)
        if up == 0:
            return Step(0, "count")
        as_well_a_reset = cut and after.value <= min(ceiling, CERTAIN * self._dip)  # so close to 0
        if after.value != 0 and 0 < down <= self._dip and not as_well_a_reset:
            return Step(0, "dip")
        if after.value > before.value:
            unsure = (cut and after.value <= ceiling) or self._is_unsure(up, elapsed)  # it may have begun anew
            return Step(up, "count", unsure) if up <= min(ceiling, MOST) else None
        if cut or after.value == 0:  # a counter that reads 0 was reset, or was not read at all, more often than not
            return None
        return self._wrap(up, elapsed)

    def suspect(self, before: Mark, after: Mark, *, cut: bool, last: Mark | None = None) -> Suspect:
        """Return what a mark that is not explained would be if the next one confirms it; `last` came before it."""
        up, down = self._distances(before, after)
        elapsed = elapsed_ms(before, after)
        ceiling = self.rule.ceiling(elapsed, per_minute=self.greatest)
        if after.value > before.value:
            pieces, verdict, estimated = self._rise(up, down, ceiling)
        else:
            pieces, verdict, estimated = self._fall(up, after.value, elapsed, cut=cut)
        rebased = verdict == "rebase"  # nothing was made on the way to it that would take up a lag
        step = self._distances(last or before, after)[0]
        return Suspect(
            after.value,
            after.at,
            after.dated,
            after.boot_id,
            0 if rebased else lag_after(before, after, pieces, per_minute=self.rule.max_rate_per_minute),
            pieces=pieces,
            verdict=verdict,
            estimated=estimated,
            rate=rate_of(max(step, 0), elapsed_ms(last or before, after)),
            cut=cut,
        )

    def keeps_pace(self, suspect: Suspect, after: Mark) -> Step | None:
        """Return the step of a jump that goes on about as fast: then it is the greatest rate that does not fit."""
        up, _ = self._distances(suspect, after)
        rate = rate_of(max(up, 0), elapsed_ms(suspect, after))
        if suspect.verdict != "released" or up <= 0 or not self._possible(up):
            return None
        steady = suspect.rate / STEADY <= rate <= suspect.rate * STEADY
        return Step(up, "released", estimated=True) if steady else None

    def is_over(self, pieces: int, elapsed: int) -> bool:
        """Whether so many pieces are more than the plant file's greatest rate allows."""
        return pieces > self.rule.ceiling(elapsed)

    def _rise(self, up: int, down: int, ceiling: float) -> tuple[int, Kind, bool]:
        if self.rule.modulus is not None and down <= ceiling:
            return 0, "rebase", True  # set back across 0
        return up, "released" if self._possible(up) else "rebase", True

    def _fall(self, up: int, value: int, elapsed: int, *, cut: bool) -> tuple[int, Kind, bool]:
        wrapped = None if cut else self._wrap(up, elapsed)
        if wrapped is not None:
            return wrapped.pieces, "rollover", wrapped.estimated
        may_have_wrapped = not cut and self.rule.modulus is not None and up <= self._reach(elapsed, self.greatest)
        if 0 <= value <= min(self.rule.ceiling(elapsed, per_minute=self.greatest), MOST):
            unsure = cut or may_have_wrapped or elapsed > LONG_MS or self.is_over(value, elapsed)
            return value, "reset", unsure
        return max(value, 0), "rebase", True  # lower, and more than can have been made since a reset

    def _wrap(self, up: int, elapsed: int) -> Step | None:
        modulus, reach = self.rule.modulus, self._reach(elapsed, self.likely)
        if modulus is None or up > reach or reach > modulus / 2:
            return None
        return Step(up, "rollover", estimated=reach > modulus / CERTAIN or self.is_over(up, elapsed))

    def _is_unsure(self, up: int, elapsed: int) -> bool:
        """Whether a climb needs more than the greatest rate, or may hide whole rounds of the register."""
        modulus = self.rule.modulus
        return self.is_over(up, elapsed) or (modulus is not None and self._reach(elapsed, self.likely) >= modulus)

    def _possible(self, up: int) -> bool:
        modulus = self.rule.modulus
        return up <= MOST and (modulus is None or up <= modulus / 2)  # beyond half of it, up cannot be told from down

    def _reach(self, elapsed: int, per_minute: float) -> float:
        slack = self.rule.slack if self.rule.modulus is None else min(self.rule.slack, self.rule.modulus // CERTAIN)
        return per_minute * elapsed / 60_000 + slack

    @property
    def _dip(self) -> int:
        modulus = self.rule.modulus
        return self.rule.max_dip if modulus is None else min(self.rule.max_dip, modulus // CERTAIN)

    def _distances(self, before: Mark, after: Mark) -> tuple[int, int]:
        """Return how far the register went up, and how far down, if it went that way."""
        up = after.value - before.value
        return (up, -up) if self.rule.modulus is None else (up % self.rule.modulus, -up % self.rule.modulus)
