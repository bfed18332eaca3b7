"""The port to the clock: floor time, which may run fast, the host's wall clock, and monotonic clocks.

Times of the floor and of the wall are in ms since 1970, UTC; those of a monotonic clock in ms from any start.
Order: floor time never goes back. A step of the wall clock moves it only by `apply_step`.
Threads: a clock belongs to one thread. No method blocks or raises.

`tests/ports/test_clock.py` tests every implementation against this.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from bridge.domain.utc_time import Millis

Monotonic = Callable[[], float]
"""A monotonic clock: returns ms from any start."""


def wall_ms() -> Millis:
    """Return the time of the host's wall clock, which may be set. Events carry floor time instead."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> Millis:
    """Return the event loop's time: real time from any start, which no clock of the host or the floor affects."""
    return int(asyncio.get_running_loop().time() * 1_000)


def perf_counter_ms() -> float:
    """Return the time to measure work with. `monotonic_ms` is too coarse for that: uvloop reads it once a turn."""
    return time.perf_counter() * 1_000


class Clock(Protocol):
    """Floor time, which may run fast."""

    def now(self) -> Millis:
        """Return floor time."""

    def seconds_until(self, at: Millis) -> float:
        """Return how many real seconds remain until a floor time, 0 when it has passed."""


class AdjustableClock(Clock, Protocol):
    """Floor time of a host whose wall clock may be set forward."""

    def forward_step(self) -> Millis:
        """Return by how many ms the wall clock was set forward and not yet applied; 0 if it was not."""

    def apply_step(self, by: Millis) -> None:
        """Set floor time forward by a number of ms."""


class FrontClock(Protocol):
    """Floor time for frames, and the wall clock's time for the expiry of tokens."""

    def now(self) -> Millis:
        """Return floor time."""

    def wall_now(self) -> Millis:
        """Return the time of the host's wall clock."""
