"""Token bucket that limits one client's rate of requests."""

from bridge.domain.utc_time import Millis


class TokenBucket:
    """Allows `per_second` on average and twice that at once; `at` is in ms from any start."""

    __slots__ = ("_at", "_level", "burst", "per_second")

    def __init__(self, *, per_second: int, at: Millis) -> None:
        self.per_second = per_second
        self.burst = 2 * per_second
        self._level = float(self.burst)
        self._at = at

    def take(self, at: Millis) -> int:
        """Take one token; returns by how many the limit is exceeded, 0 while it is kept.

        The excess is a debt: it grows as long as a client does not pause.
        """
        refill = max(0, at - self._at) * self.per_second / 1_000
        self._at = max(at, self._at)
        self._level = min(float(self.burst), self._level + refill) - 1
        return max(0, -int(self._level // 1))
