"""Inputs that no message brings: deadlines that are due, absences after a lost link, steps of the host's clock."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import structlog

from bridge.domain.intake import Intake
from bridge.domain.internal_inputs import ABSENCE_TOPIC, CLOCK_TOPIC, BridgeAbsence
from bridge.domain.records import JournalEntry
from bridge.domain.utc_time import Millis, rfc3339
from bridge.pipeline.monotonic_clock import monotonic_ms
from bridge.pipeline.status import COMMIT_SILENCE_MS, PipelineStatus
from bridge.ports.broker import MessageSource
from bridge.ports.clock import AdjustableClock, Clock

OUTAGE_SECONDS: Final = 5.0
"""Real time, like every other time about the link. A shorter outage changes nothing: the broker keeps what is sent."""
FIRST_SLICE_MS: Final = 60_000  # of floor time, at first: for 1,000 lines about 0.1 s of work, which blocks the loop
MAX_BLOCK_SECONDS: Final = 0.01  # of such work, before other tasks have their turn

log = structlog.get_logger(__name__)


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


class LinkOutageDetector:
    """Detects outages of the link, each once. Before the first connection it counts from the start."""

    def __init__(self, source: MessageSource) -> None:
        self._source = source
        self._began: float | None = None
        self._noted = False

    def detect_outage(self) -> bool:
        """Return True once per outage, as soon as it has lasted `OUTAGE_SECONDS`."""
        if self._source.status.connected:
            self._noted = False
            return False
        if self._noted or self._seconds_left() > 0:
            return False
        self._noted = True
        return True

    def seconds_to_next(self) -> float:
        """Return the seconds until the next check."""
        if self._source.status.connected or self._noted:
            return OUTAGE_SECONDS / 5  # the link may get lost meanwhile
        return max(0.0, self._seconds_left())

    def _seconds_left(self) -> float:
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        return max(self._began, self._source.status.since) + OUTAGE_SECONDS - now


class InternalInputSource:
    """Yields the internal inputs that are due: each as its topic and the function that enters it."""

    def __init__(self, source: MessageSource, clock: AdjustableClock, intake: Intake) -> None:
        self._source = source
        self._clock = clock
        self._intake = intake
        self._link = LinkOutageDetector(source)
        self._lost_at: Millis | None = None  # start of an outage, for the log

    def due_inputs(self, *, caught_up: bool) -> Iterator[tuple[str, Callable[[], JournalEntry]]]:
        """Yield a clock step before any deadline that it makes due, and a lost link once all messages are applied."""
        by = self._clock.forward_step()
        if by:
            self._clock.apply_step(by)
            yield CLOCK_TOPIC, partial(self._intake.enter_clock_step, by, self._clock.now())
        if self._lost_at is not None and self._source.status.connected:
            seconds = (self._clock.now() - self._lost_at) / 1_000
            log.info("floor.observed", since=rfc3339(self._lost_at), seconds=seconds)
            self._lost_at = None
        if caught_up and self._link.detect_outage():
            now = self._lost_at = self._clock.now()
            log.warning("floor.unobserved", reason="link", since=rfc3339(now), link=self._source.status.reason)
            yield ABSENCE_TOPIC, partial(self._intake.enter_absence, BridgeAbsence(since=now, reason="link"), now)

    def seconds_to_next(self) -> float:
        """Return the seconds until the next check."""
        return self._link.seconds_to_next()
