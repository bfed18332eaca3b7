"""Limit of a log: what clients can cause is written rarely, however often it happens. Counters have all of it."""

from collections.abc import Hashable
from typing import Final

from bridge.ports.clock import Monotonic, perf_counter_ms

LOG_SECONDS: Final = 10


class LogLimit:
    """Decides which of many like lines are written: of each kind one in `LOG_SECONDS`, whichever client causes it.

    A limit for each client would be a table that strangers fill. Kinds are of a set that no client can extend.
    """

    __slots__ = ("_clock", "_left_out", "_written_at")

    def __init__(self, clock: Monotonic = perf_counter_ms) -> None:
        self._clock = clock
        self._written_at: dict[Hashable, float] = {}
        self._left_out: dict[Hashable, int] = {}

    def due(self, *kind: Hashable) -> int | None:
        """Return how many lines of this kind were left out since the last one; None to leave this one out too."""
        now = self._clock()
        if now - self._written_at.get(kind, -float("inf")) < LOG_SECONDS * 1_000:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._written_at[kind] = now
        return self._left_out.pop(kind, 0)
