"""The process's clock: floor time for the core, wall-clock time for tokens, keepalives and freshness.

Floor time is the wall clock at start plus monotonic elapsed time, so a step of the wall clock moves no deadline. It
slews towards the wall clock by at most 1 %. A forward step of more than 5 s is applied on request (`forward_step`,
`apply_step`), so that it can be journalled. A backward step is reported and not applied: floor time never goes back.

At a scale other than 1, floor time does not follow the wall clock. An anchor continues it across a restart.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from bridge.domain.utc_time import Millis

MAX_SLEW: Final = 0.01
MAX_FOLLOWED_MS: Final = 5_000

log = structlog.get_logger()


def wall_ms() -> Millis:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Anchor:
    """A floor time and the wall-clock time at the same instant; both in ms."""

    floor: Millis
    wall: Millis


class FloorClock:
    """Floor time in ms since the epoch; never goes back, also across restarts.

    `not_before` is the last journalled time. If the wall clock is behind it (a wrong clock, or an earlier simulation
    that ran faster), floor time starts there and runs at the wall clock's pace. With a `scale` other than 1, time runs
    that much faster, independent of the wall clock; with an `anchor` also for the time while the bridge was down.
    `follows_steps`: apply a forward step as soon as it is seen, in a process that has no journal to record it in.
    """

    def __init__(
        self,
        *,
        scale: float = 1.0,
        not_before: Millis = 0,
        anchor: Anchor | None = None,
        follows_steps: bool = False,
        wall: Callable[[], Millis] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        start = wall()
        self.scale = scale
        self._wall = wall
        self._monotonic = monotonic
        if anchor is not None and scale != 1.0:
            start = anchor.floor + int((start - anchor.wall) * scale)
        self._now = float(max(start, not_before))
        self._last = monotonic()
        self._follows_steps = follows_steps
        self._step_reported = False
        if start < not_before and scale == 1.0:
            log.warning("clock.behind_journal", wall=start, journal=not_before, behind_ms=not_before - start)

    def now(self) -> Millis:
        """Return floor time in ms."""
        monotonic = self._monotonic()
        elapsed = (monotonic - self._last) * 1_000
        self._last = monotonic
        self._now += elapsed * self.scale
        if self.scale == 1.0:
            self._now += self._slew(elapsed)
        return int(self._now)

    def forward_step(self) -> Millis:
        """Return by how many ms the wall clock was set forward, if that is too much to slew; else 0."""
        drift = self._wall() - self.now()
        return drift if self.scale == 1.0 and drift > MAX_FOLLOWED_MS else 0

    def apply_step(self, by: Millis) -> None:
        """Set floor time forward by a number of ms."""
        log.warning("clock.step_applied", by_ms=by)
        self._now += by

    def is_ahead_of_wall(self) -> bool:
        """Return whether floor time is ahead of the wall clock by more than can be slewed."""
        return self.wall_offset_seconds() * 1_000 > MAX_FOLLOWED_MS

    def anchor(self) -> Anchor:
        """Return the anchor from which another process continues this clock."""
        return Anchor(self.now(), self._wall())

    def wall_offset_seconds(self) -> float:
        """Return the seconds by which floor time is ahead of the wall clock; 0 at a scale other than 1."""
        return (self.now() - self._wall()) / 1_000 if self.scale == 1.0 else 0.0

    def wall_now(self) -> Millis:
        """Return wall-clock time in ms, for times set by other machines: tokens and their expiry."""
        return self._wall()

    def seconds_until(self, at: Millis) -> float:
        """Return how many real seconds remain until a floor time, 0 when it has passed."""
        return max(0.0, (at - self.now()) / 1_000 / self.scale)

    def _slew(self, elapsed: float) -> float:
        drift = self._wall() - self._now
        if self._follows_steps and drift > MAX_FOLLOWED_MS:
            log.warning("clock.step_applied", by_ms=round(drift))
            return drift
        if abs(drift) > MAX_FOLLOWED_MS:
            if not self._step_reported:
                log.warning("clock.step_detected", drift_ms=round(drift))
            self._step_reported = True
            return 0.0
        self._step_reported = False
        return max(-MAX_SLEW * elapsed, min(MAX_SLEW * elapsed, drift))
