"""State table for stops: when a stop becomes a downtime, and when the downtime ends. Source: domain.md, «Downtime».

A stop shorter than the micro-stop threshold is a minor stop; a longer one opens a downtime, dated at the stop. The
downtime ends after `restart_ms` of running, dated at the restart. Only scheduled time can be lost: a stop outside it
does not count (OFF). The loss of a machine (LOST) opens no downtime and ends none.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Struct

from bridge.domain.utc_time import Millis


class Signal(StrEnum):
    """The state of a line or machine, as far as stops are concerned."""

    RUN = "run"
    STOP = "stop"
    OFF = "off"  # not running, outside scheduled time
    LOST = "lost"  # offline: unknown


class StopPhase(StrEnum):
    """States of the table `NEXT`: the progress of a stop or a restart."""

    CLEAR = "clear"  # nothing to track
    RUNNING = "running"
    STOPPING = "stopping"  # stopped, not yet for the threshold
    DOWN = "down"
    RESTARTING = "restarting"  # runs again, not yet long enough


class StopAction(StrEnum):
    """What a transition does to the mark, and the change it returns."""

    KEEP = "keep"
    MARK = "mark"  # the stop or the restart begins now
    DROP = "drop"
    MINOR = "minor"  # it was a minor stop
    END_NOW = "end_now"
    END_AT_RESTART = "end_at_restart"


# fmt: off
NEXT: Final[dict[tuple[StopPhase, Signal], tuple[StopPhase, StopAction]]] = {
    (StopPhase.CLEAR, Signal.RUN): (StopPhase.RUNNING, StopAction.KEEP),
    (StopPhase.CLEAR, Signal.STOP): (StopPhase.STOPPING, StopAction.MARK),
    (StopPhase.CLEAR, Signal.OFF): (StopPhase.CLEAR, StopAction.KEEP),
    (StopPhase.CLEAR, Signal.LOST): (StopPhase.CLEAR, StopAction.KEEP),
    (StopPhase.RUNNING, Signal.RUN): (StopPhase.RUNNING, StopAction.KEEP),
    (StopPhase.RUNNING, Signal.STOP): (StopPhase.STOPPING, StopAction.MARK),
    (StopPhase.RUNNING, Signal.OFF): (StopPhase.CLEAR, StopAction.KEEP),
    (StopPhase.RUNNING, Signal.LOST): (StopPhase.CLEAR, StopAction.KEEP),
    (StopPhase.STOPPING, Signal.RUN): (StopPhase.RUNNING, StopAction.MINOR),
    (StopPhase.STOPPING, Signal.STOP): (StopPhase.STOPPING, StopAction.KEEP),
    (StopPhase.STOPPING, Signal.OFF): (StopPhase.CLEAR, StopAction.DROP),
    (StopPhase.STOPPING, Signal.LOST): (StopPhase.CLEAR, StopAction.DROP),
    (StopPhase.DOWN, Signal.RUN): (StopPhase.RESTARTING, StopAction.MARK),
    (StopPhase.DOWN, Signal.STOP): (StopPhase.DOWN, StopAction.KEEP),
    (StopPhase.DOWN, Signal.OFF): (StopPhase.CLEAR, StopAction.END_NOW),
    (StopPhase.DOWN, Signal.LOST): (StopPhase.DOWN, StopAction.KEEP),
    (StopPhase.RESTARTING, Signal.RUN): (StopPhase.RESTARTING, StopAction.KEEP),
    (StopPhase.RESTARTING, Signal.STOP): (StopPhase.DOWN, StopAction.DROP),
    (StopPhase.RESTARTING, Signal.OFF): (StopPhase.CLEAR, StopAction.END_AT_RESTART),
    (StopPhase.RESTARTING, Signal.LOST): (StopPhase.DOWN, StopAction.DROP),
}
# fmt: on


class StopState(Struct):
    """State of one tracker; checkpointed."""

    phase: StopPhase = StopPhase.CLEAR
    signal: Signal = Signal.LOST
    mark: Millis | None = None  # start of the stop (STOPPING) or of the restart (RESTARTING)
    skipped: Millis = 0  # part of the time since the mark that did not pass: the clock was set forward

    def set_forward(self, by: Millis) -> None:
        """Exclude a forward step of the host's clock from the duration of a stop or restart; its start stays."""
        if self.mark is not None:
            self.skipped += by


class StopChangeKind(StrEnum):
    CROSSED = "crossed"  # stopped for the threshold: [start, end) is downtime so far
    MINOR = "minor"  # [start, end) was a minor stop
    ENDED = "ended"  # the downtime ended at `start`; [start, end) was running already


@dataclass(frozen=True, slots=True)
class StopChange:
    """A stop that became a downtime or was minor, or a downtime that ended; of the time [start, end)."""

    kind: StopChangeKind
    start: Millis
    end: Millis
    skipped: Millis = 0  # skipped by the host's clock, at its start: not part of its duration


@dataclass(frozen=True, slots=True)
class StopTracker:
    """Tracks the stops of one line or machine. Feed it every signal in order; fire it at its deadline."""

    state: StopState
    micro_ms: int
    restart_ms: int

    def feed(self, signal: Signal, *, at: Millis) -> StopChange | None:
        state = self.state
        phase, action = NEXT[state.phase, signal]
        mark, skipped = state.mark, state.skipped
        state.phase, state.signal = phase, signal
        if action is not StopAction.KEEP:
            state.mark, state.skipped = (at if action is StopAction.MARK else None), 0
        match action:
            case StopAction.KEEP | StopAction.DROP | StopAction.MARK:
                return None
            case StopAction.MINOR:
                # its length makes it a minor stop: that excludes what the clock skipped
                return None if mark is None else StopChange(StopChangeKind.MINOR, mark + skipped, at)
            case StopAction.END_NOW:
                return StopChange(StopChangeKind.ENDED, at, at)
            case StopAction.END_AT_RESTART:
                return StopChange(StopChangeKind.ENDED, at if mark is None else mark, at)

    def next_deadline(self) -> Millis | None:
        """Return when the stop becomes a downtime, or when the restart ends one."""
        if self.state.mark is None:
            return None
        duration = self.micro_ms if self.state.phase is StopPhase.STOPPING else self.restart_ms
        return self.state.mark + self.state.skipped + duration

    def fire(self, *, at: Millis) -> StopChange | None:
        """Apply the deadline that has passed; `at` may be later if a changed plant file moved it to the past."""
        mark, skipped, due = self.state.mark, self.state.skipped, self.next_deadline()
        if mark is None or due is None or at < due:
            return None
        self.state.mark, self.state.skipped = None, 0
        if self.state.phase is StopPhase.STOPPING:
            self.state.phase = StopPhase.DOWN
            return StopChange(StopChangeKind.CROSSED, mark, at, skipped)
        self.state.phase = StopPhase.RUNNING
        return StopChange(StopChangeKind.ENDED, mark, at)
