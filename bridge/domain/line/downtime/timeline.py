"""A stretch of time gone through again by what became known of it later: time classes, and what its stops were.

The rules are those of `stops` and `oee`, applied to signals that are all known beforehand. Pure: nothing is emitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from bridge.domain.events import Millis
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

DOWN_PHASES: Final = frozenset({StopPhase.DOWN, StopPhase.RESTARTING})


@dataclass(frozen=True, slots=True)
class Observation:
    """What holds from an instant on; `seen` is the line's, None for a machine's own timeline."""

    at: Millis
    signal: Signal
    diagnosis: Diagnosis | None = None


@dataclass(slots=True)
class Segment:
    """[start, end) of one class."""

    start: Millis
    end: Millis
    time_class: TimeClass


@dataclass(frozen=True, slots=True)
class ReplayedStop:
    """What a stop turned out to be, with all that was seen of the line while it stood."""

    change: StopChange
    observations: list[Observation]


@dataclass(slots=True)
class Timeline:
    """Segments in order of time, changes in order of when they show, and how the watch of stops ends."""

    stops: StopTracker
    at: Millis
    segments: list[Segment]
    changes: list[ReplayedStop] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)  # of the stop that lasts

    @property
    def since(self) -> Millis:
        """Return when it begins: with the stop or restart in which the scope was lost."""
        return self.segments[0].start if self.segments else self.at

    def advance(self, until: Millis) -> None:
        """Let time pass, firing what falls due in it."""
        while (due := self.stops.next_deadline()) is not None and due <= until:
            at = max(due, self.at)  # another plant file may have shortened it just before
            self._spend(at)
            self._apply_stop_change(self.stops.fire(at=at))
        self._spend(until)

    def feed(self, observation: Observation) -> None:
        self.advance(observation.at)
        if observation.signal in (Signal.STOP, Signal.LOST) and observation.diagnosis is not None:
            self.observations.append(observation)
        change = self.stops.feed(observation.signal, at=observation.at)
        self._apply_stop_change(change)
        if observation.signal is not Signal.STOP and self.stops.state.phase not in DOWN_PHASES:
            self.observations = []

    def is_known_since(self, start: Millis) -> bool:
        """Return whether no time from an instant on is unknown."""
        return not any(each.time_class is TimeClass.UNKNOWN and each.end > start for each in self.segments)

    def _spend(self, until: Millis) -> None:
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
        for segment in self.segments:  # a stop and a restart begin at a signal, and so does a segment
            if segment.time_class is old and change.start <= segment.start and segment.end <= change.end:
                segment.time_class = new


def time_class_of(state: StopState) -> TimeClass:
    """Return the class of the time that passes now."""
    match state.signal:
        case Signal.LOST:
            return TimeClass.UNKNOWN
        case Signal.OFF:
            return TimeClass.OFF
        case Signal.RUN | Signal.STOP:
            return TimeClass.DOWN if state.phase in DOWN_PHASES else TimeClass.BUSY


def build_timeline(
    stops: StopTracker, before: list[Segment], signals: Sequence[Observation], *, start: Millis, until: Millis
) -> Timeline:
    """Go through [start, until) again, behind the segments `before`. `stops` is as it was at `start`, and stays so."""
    again = StopTracker(replace(stops.state), stops.micro_ms, stops.restart_ms)
    timeline = Timeline(again, start, before)
    for known in signals:
        timeline.feed(known)
    timeline.advance(until)
    return timeline
