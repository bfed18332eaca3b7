"""Inputs that no message brings: absences after a lost link, and steps of the host's clock."""

from collections.abc import Callable, Iterator
from functools import partial

import structlog

from bridge.domain.intake import Intake
from bridge.domain.internal_inputs import ABSENCE_TOPIC, CLOCK_TOPIC, BridgeAbsence
from bridge.domain.records import JournalEntry
from bridge.domain.utc_time import Millis, rfc3339
from bridge.pipeline.link_outage_detector import LinkOutageDetector
from bridge.ports.broker import MessageSource
from bridge.ports.clock import AdjustableClock

log = structlog.get_logger(__name__)


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
