"""Replay of a past stretch of time from signals that became known later: its time classes and its stops.

The rules are those of `stop_tracker` and `oee`, applied to signals that are all known beforehand. Nothing is emitted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from bridge.domain.line.downtime.stop_tracker import (
    Signal,
    StopChange,
    StopChangeKind,
    StopPhase,
    StopState,
    StopTracker,
)
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.line.output.oee_window import TimeClass
from bridge.domain.utc_time import Millis

DOWN_PHASES: Final = frozenset({StopPhase.DOWN, StopPhase.RESTARTING})


@dataclass(frozen=True, slots=True)
class Observation:
    """The signal from an instant on; `diagnosis` is the line's, None in a machine's own timeline."""

    at: Millis
    signal: Signal
    diagnosis: Diagnosis | None = None


@dataclass(slots=True)
class Segment:
    """The span [start, end), of one time class."""

    start: Millis
    end: Millis
    time_class: TimeClass


@dataclass(frozen=True, slots=True)
class ReplayedStop:
    """A stop change, with the line's observations during the stop."""

    change: StopChange
    observations: list[Observation]


@dataclass(slots=True)
class Timeline:
    """Segments in time order, stop changes in the order they are detected, and the stop tracker's final state."""

    stops: StopTracker
    at: Millis
    segments: list[Segment]
    changes: list[ReplayedStop] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)  # of the stop that still lasts

    @property
    def since(self) -> Millis:
        """Return when it begins: with the stop or restart during which the scope was lost."""
        return self.segments[0].start if self.segments else self.at

    def advance(self, until: Millis) -> None:
        """Advance to `until`, firing the deadlines on the way."""
        while (due := self.stops.next_deadline()) is not None and due <= until:
            at = max(due, self.at)  # a changed plant file may have moved it to the past
            self._add_segment(at)
            self._apply_stop_change(self.stops.fire(at=at))
        self._add_segment(until)

    def feed(self, observation: Observation) -> None:
        self.advance(observation.at)
        if observation.signal in (Signal.STOP, Signal.LOST) and observation.diagnosis is not None:
            self.observations.append(observation)
        change = self.stops.feed(observation.signal, at=observation.at)
        self._apply_stop_change(change)
        if observation.signal is not Signal.STOP and self.stops.state.phase not in DOWN_PHASES:
            self.observations = []

    def is_known_since(self, start: Millis) -> bool:
        """Return whether no time after `start` is unknown."""
        return not any(segment.time_class is TimeClass.UNKNOWN and segment.end > start for segment in self.segments)

    def downtime_spans(self) -> list[tuple[Millis, float]]:
        """Return the spans of the downtimes; one from before the timeline begins with it."""
        started_at: Millis | None = self.since
        spans: list[tuple[Millis, float]] = []
        for change in (stop.change for stop in self.changes):
            if change.kind is StopChangeKind.CROSSED:
                started_at = change.start
            elif change.kind is StopChangeKind.ENDED and started_at is not None:
                spans.append((started_at, change.start))
                started_at = None
        is_down = self.stops.state.phase in DOWN_PHASES
        return [*spans, (started_at, math.inf)] if is_down and started_at is not None else spans

    def _add_segment(self, until: Millis) -> None:
        if until > self.at:
            self.segments.append(Segment(self.at, until, time_class_of(self.stops.state)))
            self.at = until

    def _apply_stop_change(self, change: StopChange | None) -> None:
        if change is None:
            return
        self.changes.append(ReplayedStop(change, self.observations))
        if change.kind is StopChangeKind.CROSSED:
            self._reclass(TimeClass.BUSY, TimeClass.DOWN, change)
        elif change.kind is StopChangeKind.ENDED:
            self._reclass(TimeClass.DOWN, TimeClass.BUSY, change)
        if change.kind is not StopChangeKind.CROSSED:
            self.observations = []

    def _reclass(self, old: TimeClass, new: TimeClass, change: StopChange) -> None:
        for segment in self.segments:  # stops and restarts begin at a signal, and so do segments
            if segment.time_class is old and change.start <= segment.start and segment.end <= change.end:
                segment.time_class = new


def find_downtime_end(stops: Sequence[ReplayedStop]) -> StopChange | None:
    """Return the end of the downtime that the first stop opened; None while it lasts."""
    return next((stop.change for stop in stops if stop.change.kind is StopChangeKind.ENDED), None)


def find_next_downtime(stops: Sequence[ReplayedStop]) -> Millis | None:
    """Return when the first downtime among these stops began."""
    return next((stop.change.start for stop in stops if stop.change.kind is StopChangeKind.CROSSED), None)


def time_class_of(state: StopState) -> TimeClass:
    """Return the class of the time that passes in this state."""
    match state.signal:
        case Signal.LOST:
            return TimeClass.UNKNOWN
        case Signal.OFF:
            return TimeClass.OFF
        case Signal.RUN | Signal.STOP:
            return TimeClass.DOWN if state.phase in DOWN_PHASES else TimeClass.BUSY


def build_timeline(
    stops: StopTracker, segments: list[Segment], observations: Sequence[Observation], *, start: Millis, until: Millis
) -> Timeline:
    """Replay [start, until) after the segments `before`. `stops` has the state at `start` and is not changed."""
    replayed = StopTracker(replace(stops.state), stops.micro_ms, stops.restart_ms)
    timeline = Timeline(replayed, start, segments)
    for observation in observations:
        timeline.feed(observation)
    timeline.advance(until)
    return timeline
