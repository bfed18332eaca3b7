"""A token bucket: how often one client may ask."""

from bridge.domain.events import Millis


class TokenBucket:
    """Allows `per_second` on average and twice that at once; time is an argument, and may start anywhere."""

    __slots__ = ("_at", "_level", "burst", "per_second")

    def __init__(self, *, per_second: int, at: Millis) -> None:
        self.per_second = per_second
        self.burst = 2 * per_second
        self._level = float(self.burst)
        self._at = at

    def take(self, at: Millis) -> int:
        """Take one; returns how many too many there are by now, 0 while all is well.

        What is too many is owed, so that a client which never pauses gets ever deeper.
        """
        refill = max(0, at - self._at) * self.per_second / 1_000
        self._at = max(at, self._at)
        self._level = min(float(self.burst), self._level + refill) - 1
        return max(0, -int(self._level // 1))
