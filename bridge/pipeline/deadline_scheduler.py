"""Schedule for advancing the floor's time, so that deadlines fire without a message."""

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Final

from bridge.domain.intake import Intake
from bridge.domain.utc_time import Millis
from bridge.pipeline.status import COMMIT_SILENCE_MS, PipelineStatus
from bridge.ports.clock import Clock, monotonic_ms

FIRST_SLICE_MS: Final = 60_000  # of floor time, at first: for 1,000 lines about 0.1 s of work, which blocks the loop
MAX_BLOCK_SECONDS: Final = 0.01  # of such work, before other tasks have their turn


class DeadlineScheduler:
    """Decides when to advance the floor's time, and how far at once: deadlines missed while down may span weeks."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock
        self._firing_since: Millis | None = None  # real time
        self._resumed_at = 0.0  # by `time.perf_counter`: a loop's clock may not advance while it is blocked

    def seconds_to_next(self) -> float:
        """Return the real seconds until the next deadline; infinite if there is none."""
        deadline = self._intake.floor.next_deadline()
        return math.inf if deadline is None else self._clock.seconds_until(deadline)

    def time_slices(self) -> Iterator[Millis]:
        """Yield the times to advance the floor to, one after another, until nothing more is due now."""
        now, slice_ms = self._clock.now(), FIRST_SLICE_MS
        self._firing_since, self._resumed_at = monotonic_ms(), time.perf_counter()
        try:
            while (deadline := self._intake.floor.next_deadline()) is not None and deadline <= now:
                began = time.perf_counter()
                yield min(now, deadline + slice_ms)
                was_quick = time.perf_counter() - began < MAX_BLOCK_SECONDS
                slice_ms = slice_ms * 2 if was_quick else max(FIRST_SLICE_MS, slice_ms // 2)
        finally:
            self._firing_since = None

    async def yield_to_loop(self) -> None:
        """Let other tasks run if this one has blocked the loop: dashboards and keepalives must not wait so long."""
        if time.perf_counter() - self._resumed_at >= MAX_BLOCK_SECONDS:
            await asyncio.sleep(0)
            self._resumed_at = time.perf_counter()

    def adjust_status(self, status: PipelineStatus) -> PipelineStatus:
        """Return the status, not ready while overdue deadlines delay reports: what is shown is not live then."""
        since = self._firing_since
        if not status.ready or since is None or monotonic_ms() - since < COMMIT_SILENCE_MS:
            return status
        return status.as_not_ready("deadlines missed while the bridge was down are being processed")
