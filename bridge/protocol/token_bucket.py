"""Token bucket: an amount per second on average, more at once, and a debt for what was taken beyond that."""

import math


class TokenBucket:
    """Allows `per_second` on average and `burst` at once. Times are in ms from any start.

    What is taken beyond it is a debt of at most `max_debt`, which time pays. With `per_second` 0 it allows a total.
    """

    __slots__ = ("_at", "_level", "_max_debt", "_per_second", "burst")

    def __init__(self, *, per_second: float, burst: float, at: float, max_debt: float = math.inf) -> None:
        self.burst = burst
        self._per_second = per_second
        self._max_debt = max_debt
        self._level = burst
        self._at = at

    def take(self, amount: float, at: float) -> float:
        """Take an amount, and return the debt; 0 while the limit is kept."""
        self._refill(at)
        self._level = max(self._level - amount, -self._max_debt)
        return max(0.0, -self._level)

    def wait_ms(self, at: float) -> float:
        """Return the ms until the debt is paid: 0 without one, infinity if it never is."""
        self._refill(at)
        if self._level >= 0:
            return 0.0
        return -self._level * 1_000 / self._per_second if self._per_second else math.inf

    def is_full(self, at: float) -> bool:
        """Return whether a new bucket would be the same."""
        self._refill(at)
        return self._level >= self.burst

    def _refill(self, at: float) -> None:
        elapsed = max(0.0, at - self._at)  # time that goes back takes nothing
        self._at = max(at, self._at)
        self._level = min(self.burst, self._level + elapsed * self._per_second / 1_000)
