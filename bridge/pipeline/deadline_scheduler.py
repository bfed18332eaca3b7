"""What is due by time, a piece at a time: what became due while the bridge was down may be weeks of it."""

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Final

from bridge.domain.events import Millis
from bridge.domain.intake import Intake
from bridge.pipeline.committer import monotonic_ms
from bridge.pipeline.status import COMMIT_SILENCE_MS, PipelineStatus
from bridge.ports.clock import Clock

PIECE_MS: Final = (
    60_000  # of floor time, at first: of 1,000 lines some 0.1 s of work, in which the loop does nothing else
)
HOLD_SECONDS: Final = 0.01  # of such work, before others have their turn


class DeadlineScheduler:
    """Says when to let time pass, and up to when at a go."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock
        self._firing_since: Millis | None = None  # real time
        self._held_since = 0.0  # by the processor's clock: a loop's stands still while it is held

    def seconds_to_next(self) -> float:
        """Return how many real seconds remain until something is due; infinite where nothing ever is."""
        deadline = self._intake.floor.next_deadline()
        return math.inf if deadline is None else self._clock.seconds_until(deadline)

    def time_slices(self) -> Iterator[Millis]:
        """Yield the times up to which to let it pass, one after another, until nothing is left that is due now."""
        now, piece = self._clock.now(), PIECE_MS
        self._firing_since, self._held_since = monotonic_ms(), time.perf_counter()
        try:
            while (deadline := self._intake.floor.next_deadline()) is not None and deadline <= now:
                began = time.perf_counter()
                yield min(now, deadline + piece)
                piece = piece * 2 if time.perf_counter() - began < HOLD_SECONDS else max(PIECE_MS, piece // 2)
        finally:
            self._firing_since = None

    async def yield_to_loop(self) -> None:
        """Let others have their turn where this held the loop: dashboards and keepalives don't wait for all of it."""
        if time.perf_counter() - self._held_since >= HOLD_SECONDS:
            await asyncio.sleep(0)
            self._held_since = time.perf_counter()

    def adjust_status(self, status: PipelineStatus) -> PipelineStatus:
        """Return the status as it is while long-due deadlines keep reports waiting: what is shown is not live then."""
        since = self._firing_since
        if not status.ready or since is None or monotonic_ms() - since < COMMIT_SILENCE_MS:
            return status
        return status.as_not_ready("what became due while the bridge was down is still being made up")
