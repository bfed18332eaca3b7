"""When a stop becomes a downtime and when the downtime is over, as a table. Source: DOMAIN, «Downtime».

A stop shorter than the micro-stop threshold is a minor stop; one that lasts opens a downtime, dated at the stop. It
ends after `restart` of running, dated at the restart. Only scheduled time can be lost: a stop outside it is nothing
(OFF). Losing sight of a machine (LOST) opens nothing and ends nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct

from bridge.core.events import Millis


class Signal(StrEnum):
    RUN = "run"
    STOP = "stop"
    OFF = "off"  # not running, outside scheduled time
    LOST = "lost"  # offline: nobody knows


class Phase(StrEnum):
    CLEAR = "clear"  # nothing to watch
    RUNNING = "running"
    STOPPING = "stopping"  # stopped, not yet for the threshold
    DOWN = "down"
    RESTARTING = "restarting"  # runs again, not yet long enough


class Step(StrEnum):
    """What a transition does to the watched instant, and what it reports."""

    KEEP = "keep"
    MARK = "mark"  # the stop or the restart begins now
    DROP = "drop"
    MINOR = "minor"  # the stop was a minor one
    END_NOW = "end_now"
    END_AT_RESTART = "end_at_restart"


# fmt: off
NEXT: Final[dict[tuple[Phase, Signal], tuple[Phase, Step]]] = {
    (Phase.CLEAR, Signal.RUN): (Phase.RUNNING, Step.KEEP),
    (Phase.CLEAR, Signal.STOP): (Phase.STOPPING, Step.MARK),
    (Phase.CLEAR, Signal.OFF): (Phase.CLEAR, Step.KEEP),
    (Phase.CLEAR, Signal.LOST): (Phase.CLEAR, Step.KEEP),
    (Phase.RUNNING, Signal.RUN): (Phase.RUNNING, Step.KEEP),
    (Phase.RUNNING, Signal.STOP): (Phase.STOPPING, Step.MARK),
    (Phase.RUNNING, Signal.OFF): (Phase.CLEAR, Step.KEEP),
    (Phase.RUNNING, Signal.LOST): (Phase.CLEAR, Step.KEEP),
    (Phase.STOPPING, Signal.RUN): (Phase.RUNNING, Step.MINOR),
    (Phase.STOPPING, Signal.STOP): (Phase.STOPPING, Step.KEEP),
    (Phase.STOPPING, Signal.OFF): (Phase.CLEAR, Step.DROP),
    (Phase.STOPPING, Signal.LOST): (Phase.CLEAR, Step.DROP),
    (Phase.DOWN, Signal.RUN): (Phase.RESTARTING, Step.MARK),
    (Phase.DOWN, Signal.STOP): (Phase.DOWN, Step.KEEP),
    (Phase.DOWN, Signal.OFF): (Phase.CLEAR, Step.END_NOW),
    (Phase.DOWN, Signal.LOST): (Phase.DOWN, Step.KEEP),
    (Phase.RESTARTING, Signal.RUN): (Phase.RESTARTING, Step.KEEP),
    (Phase.RESTARTING, Signal.STOP): (Phase.DOWN, Step.DROP),
    (Phase.RESTARTING, Signal.OFF): (Phase.CLEAR, Step.END_AT_RESTART),
    (Phase.RESTARTING, Signal.LOST): (Phase.DOWN, Step.DROP),
}
# fmt: on


class StopState(Struct):
    phase: Phase = Phase.CLEAR
    signal: Signal = Signal.LOST
    mark: Millis | None = None  # of STOPPING the stop, of RESTARTING the restart
    skipped: Millis = 0  # of the time since the mark: the clock was set forward, and it did not pass

    def set_forward(self, by: Millis) -> None:
        """The host's clock was set forward: a stop or restart began when it began, and has lasted no longer."""
        if self.mark is not None:
            self.skipped += by


class Change(StrEnum):
    CROSSED = "crossed"  # stopped for the threshold: [start, end) is downtime so far
    MINOR = "minor"  # [start, end) was a minor stop
    ENDED = "ended"  # the downtime ended at `start`; [start, end) was running already


@dataclass(frozen=True, slots=True)
class StopChange:
    change: Change
    start: Millis
    end: Millis
    skipped: Millis = 0  # of it by the host's clock, at its beginning: it has lasted no longer


@dataclass(frozen=True, slots=True)
class Stops:
    """Watches one line or machine. Feed it every signal in order; fire it at its deadline."""

    state: StopState
    micro_ms: int
    restart_ms: int

    def feed(self, signal: Signal, *, at: Millis) -> StopChange | None:
        state = self.state
        phase, step = NEXT[state.phase, signal]
        mark, skipped = state.mark, state.skipped
        state.phase, state.signal = phase, signal
        if step is not Step.KEEP:
            state.mark, state.skipped = (at if step is Step.MARK else None), 0
        match step:
            case Step.KEEP | Step.DROP | Step.MARK:
                return None
            case Step.MINOR:
                # by its length it is a minor one: that is without what the clock skipped
                return None if mark is None else StopChange(Change.MINOR, mark + skipped, at)
            case Step.END_NOW:
                return StopChange(Change.ENDED, at, at)
            case Step.END_AT_RESTART:
                return StopChange(Change.ENDED, at if mark is None else mark, at)

    def next_deadline(self) -> Millis | None:
        """Return when the stop becomes a downtime, or when the restart is believed."""
        if self.state.mark is None:
            return None
        lasts = self.micro_ms if self.state.phase is Phase.STOPPING else self.restart_ms
        return self.state.mark + self.state.skipped + lasts

    def fire(self, *, at: Millis) -> StopChange | None:
        """Judge the stop or restart whose deadline has come; one that another plant file shortened ends only now."""
        mark, skipped, due = self.state.mark, self.state.skipped, self.next_deadline()
        if mark is None or due is None or at < due:
            return None
        self.state.mark, self.state.skipped = None, 0
        if self.state.phase is Phase.STOPPING:
            self.state.phase = Phase.DOWN
            return StopChange(Change.CROSSED, mark, at, skipped)
        self.state.phase = Phase.RUNNING
        return StopChange(Change.ENDED, mark, at)
