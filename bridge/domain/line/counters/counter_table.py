"""Counter table of domain.md, «Counters»: the meaning of the change between two samples of one register.

The ceiling is the most that the machine can make in the time between the samples. It separates pieces from wraps,
resets, jitter and nonsense. The reach is the most that the machine is likely to have made. A wrap is accepted only if
the reach is at most half the modulus and the device was connected throughout; otherwise a reset looks the same.
"""

from typing import Final, NamedTuple

from msgspec import Struct

from bridge.domain.line.counters.registers import (
    ChangeKind,
    RegisterSample,
    SuspectSample,
    elapsed_ms,
    lag_after,
    rate_of,
)

LONG_GAP_MS: Final = 60_000  # a reset within a longer time is flagged: pieces may have been made before it
CERTAIN_DIVISOR: Final = 8  # above modulus / CERTAIN_DIVISOR a reach does not prove a wrap
MAX_RATE_RATIO: Final = 2.0  # most that a machine speeds up from one step to the next, or beyond its fastest rate
MAX_PIECES: Final = 10**9  # pieces in one step: no machine makes more, and their sums stay within 64 bits


class RegisterLimits(Struct, frozen=True, kw_only=True):
    """Limits of a register: modulus, highest rate of its machine, tolerances in pieces."""

    modulus: int | None = None
    max_rate_per_minute: float = 6_000.0
    slack: int = 10
    max_dip: int = 5

    def ceiling(self, elapsed_ms: int, *, per_minute: float | None = None) -> float:
        """Return the most pieces that can have been made in `elapsed_ms`."""
        rate = self.max_rate_per_minute if per_minute is None else per_minute
        return rate * max(elapsed_ms, 0) / 60_000 + self.slack

    def normalize(self, value: int) -> int:
        return value if self.modulus is None else value % self.modulus  # a signed wrap is the same number


class RegisterChange(NamedTuple):
    """The change between two samples."""

    pieces: int
    kind: ChangeKind
    estimated: bool = False


class CounterTable(Struct, frozen=True):
    """The counter table, with a register's limits, its fastest usual rate, and its `pace` above the maximum rate."""

    limits: RegisterLimits
    usual_rate: float = 0.0
    pace: float = 0.0

    @property
    def max_rate(self) -> float:
        """The rate up to which pieces are accepted; a proven faster pace may continue."""
        return max(self.limits.max_rate_per_minute, MAX_RATE_RATIO * self.pace)

    @property
    def likely_rate(self) -> float:
        """The rate that the machine is unlikely to exceed."""
        return min(self.max_rate, MAX_RATE_RATIO * self.usual_rate) if self.usual_rate else self.max_rate

    def explain(self, before: RegisterSample, after: RegisterSample, *, may_be_reset: bool) -> RegisterChange | None:
        """Return the row that explains the later sample at once, or None; `may_be_reset`: in the time between them."""
        up, down = self._distances(before, after)
        if up == 0:
            return RegisterChange(0, "count")
        elapsed = elapsed_ms(before, after)
        ceiling = self.limits.ceiling(elapsed, per_minute=self.max_rate)
        could_be_reset = may_be_reset and after.value <= min(ceiling, CERTAIN_DIVISOR * self._max_dip)  # so close to 0
        if after.value != 0 and 0 < down <= self._max_dip and not could_be_reset:
            return RegisterChange(0, "dip")
        if after.value > before.value:
            unsure = (may_be_reset and after.value <= ceiling) or self._is_unsure(up, elapsed)  # it may have restarted
            return RegisterChange(up, "count", unsure) if up <= min(ceiling, MAX_PIECES) else None
        if may_be_reset or after.value == 0:  # a reading of 0 is usually a reset or an unread register
            return None
        return self._wrap(up, elapsed)

    def make_suspect(
        self, before: RegisterSample, after: RegisterSample, *, may_be_reset: bool, last: RegisterSample | None = None
    ) -> SuspectSample:
        """Return the suspect for an unexplained sample, with its verdict if confirmed; `last`: received before it."""
        up, down = self._distances(before, after)
        elapsed = elapsed_ms(before, after)
        ceiling = self.limits.ceiling(elapsed, per_minute=self.max_rate)
        if after.value > before.value:
            pieces, verdict, estimated = self._rise(up, down, ceiling)
        else:
            pieces, verdict, estimated = self._fall(up, after.value, elapsed, may_be_reset=may_be_reset)
        rebased = verdict == "rebase"  # no pieces were made that would use up a lag
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
            interrupted=may_be_reset,
        )

    def step_at_same_rate(self, suspect: SuspectSample, after: RegisterSample) -> RegisterChange | None:
        """Return the step if a jump continues about as fast, else None: then the configured maximum rate is too low."""
        up, _ = self._distances(suspect, after)
        rate = rate_of(max(up, 0), elapsed_ms(suspect, after))
        if suspect.verdict != "released" or up <= 0 or not self._is_possible(up):
            return None
        steady = suspect.rate / MAX_RATE_RATIO <= rate <= suspect.rate * MAX_RATE_RATIO
        return RegisterChange(up, "released", estimated=True) if steady else None

    def is_above_max_rate(self, pieces: int, elapsed: int) -> bool:
        """Return whether `pieces` exceed the plant file's maximum rate."""
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
        """Return whether a rise exceeds the maximum rate, or may hide whole turns of the register."""
        modulus = self.limits.modulus
        return self.is_above_max_rate(up, elapsed) or (
            modulus is not None and self._likely_pieces(elapsed, self.likely_rate) >= modulus
        )

    def _is_possible(self, up: int) -> bool:
        modulus = self.limits.modulus
        # beyond half of the modulus, up and down are ambiguous
        return up <= MAX_PIECES and (modulus is None or up <= modulus / 2)

    def _likely_pieces(self, elapsed: int, per_minute: float) -> float:
        return per_minute * elapsed / 60_000 + self._bound_by_modulus(self.limits.slack)

    @property
    def _max_dip(self) -> int:
        return self._bound_by_modulus(self.limits.max_dip)

    def _bound_by_modulus(self, pieces: int) -> int:
        modulus = self.limits.modulus
        return pieces if modulus is None else min(pieces, modulus // CERTAIN_DIVISOR)

    def _distances(self, before: RegisterSample, after: RegisterSample) -> tuple[int, int]:
        """Return the distance between two samples, counted upwards and counted downwards."""
        up = after.value - before.value
        return (up, -up) if self.limits.modulus is None else (up % self.limits.modulus, -up % self.limits.modulus)
