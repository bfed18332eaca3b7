"""A scheduler in simulated time. Runs actions in order of time, then of entry."""

import heapq
from collections.abc import Callable
from itertools import count

from device_sim.time_units import Millis


class Scheduler:
    """Holds actions until `run_until` reaches their time; an action may add others."""

    def __init__(self, now: Millis) -> None:
        self.now = now
        self._entries: list[tuple[Millis, int, Callable[[], None]]] = []
        self._order = count()

    def call_at(self, time: Millis, action: Callable[[], None]) -> None:
        """Schedule an action; an overdue one runs next."""
        heapq.heappush(self._entries, (max(time, self.now), next(self._order), action))

    def run_until(self, until: Millis) -> None:
        """Run the actions due before `until`."""
        while self._entries and self._entries[0][0] < until:
            self.now, _, action = heapq.heappop(self._entries)
            action()
        self.now = until
