"""Inputs that the pipeline enters by itself: absences after a lost link, and steps of the host's clock."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import structlog

from bridge.domain.events import Millis, rfc3339
from bridge.domain.intake import Intake
from bridge.domain.internal_inputs import ABSENCE_TOPIC, CLOCK_TOPIC, BridgeAbsence
from bridge.domain.records import JournalEntry
from bridge.ports.broker import MessageSource
from bridge.ports.clock import AdjustableClock

OUTAGE_SECONDS: Final = 5.0
"""Real time, like every other time about the link. A shorter outage changes nothing: the broker keeps what is sent."""

log = structlog.get_logger(__name__)


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
