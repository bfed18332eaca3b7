"""Pace of each user: how many commands per second, over all their connections and requests together."""

from collections import OrderedDict
from typing import Final

from bridge.ports.clock import Monotonic, monotonic_ms
from bridge.protocol.token_bucket import TokenBucket

BURST_SECONDS: Final = 4  # of the pace, at once


class UserPace:
    """Allows each user `per_second` on average. A user whose bucket is full again is forgotten."""

    def __init__(self, *, per_second: int, clock: Monotonic = monotonic_ms) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets = OrderedDict[str, TokenBucket]()  # the user who took something last is at the end

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, user_id: str) -> bool:
        """Take one, and return True; or False, and take nothing, if the user has none left."""
        now = self._clock()
        self._forget(now)
        bucket = self._buckets.get(user_id)
        if bucket is None:
            # One less than the burst: a user who owes nothing may take one more.
            burst = self._per_second * BURST_SECONDS - 1
            bucket = self._buckets[user_id] = TokenBucket(per_second=self._per_second, burst=burst, at=now)
        if bucket.wait_ms(now) > 0:
            return False
        bucket.take(1, now)
        self._buckets.move_to_end(user_id)
        return True

    def _forget(self, now: float) -> None:
        while self._buckets and next(iter(self._buckets.values())).is_full(now):
            self._buckets.popitem(last=False)
