"""Culprit of a stopped line: a walk from the machine that decides its status towards the side of the cause.

Source: domain.md, «Downtime». A starved machine waits for its upstream side, a blocked one for its downstream side. The
walk passes machines that merely wait, and ends at the first that is stopped by itself. If the culprit is another
machine, the cause is never `internal`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from msgspec import Struct

from bridge.domain.event_data import DowntimeCause, FaultNote, Status, StatusCause

Side = Literal["upstream", "downstream"]

DOWNTIME_CAUSE: Final[dict[StatusCause | None, DowntimeCause]] = {
    "internal": "internal",
    "starved": "upstream",
    "blocked": "downstream",
    "planned": "planned",
    "break": "planned",
    "no_order": "unknown",  # as far as the machines report; `with_no_order_cause` completes it
    "unknown": "unknown",
    None: "unknown",
}


class MachineView(Struct, frozen=True, kw_only=True, rename={"known_stopped": "stands"}):
    """One machine as input to its line's diagnosis; sequences of views are in flow order."""

    equipment: str
    status: Status
    cause: StatusCause | None
    reason_code: str | None
    faults: tuple[FaultNote, ...]
    decides: bool  # the constraint, or a critical machine
    broken: bool = False  # stopped by a fault, in any mode, or by itself; if offline: as last seen
    known_stopped: bool = False  # offline, and known to have been stopped until then

    @property
    def attended(self) -> bool:
        """Return whether somebody is already working on it."""
        return self.status in ("maintenance", "setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCause:
    """The cause of a stop, and the culprit, if it is a machine of the line."""

    cause: DowntimeCause
    machine: MachineView | None = None


class _WalkStep(Enum):
    """The effect of a machine on the walk."""

    CULPRIT = auto()
    BLAMES_FURTHER = auto()  # in fault, and its fault blames a machine further on
    WAITS = auto()
    ENDS = auto()  # runs, is stopped by plan, or waits for the other side: the cause is not beyond it


def find_culprit(flow: Sequence[MachineView], stopped: MachineView) -> StopCause:
    """Return why `stopped`, a machine of the flow that decides the line's status, does not run."""
    cause = DOWNTIME_CAUSE[stopped.cause]
    if stopped.attended or cause == "planned":
        return StopCause(cause=cause)  # attended or planned: another machine's fault is not the cause
    place = flow.index(stopped)
    sides: dict[Side, Sequence[MachineView]] = {"upstream": flow[:place][::-1], "downstream": flow[place + 1 :]}
    match cause:
        case "internal":
            return StopCause(cause=cause, machine=stopped)
        case "upstream" | "downstream":
            # A fault that blames a neighbour stays until cleared: without a culprit there, this machine is the culprit.
            own = stopped if stopped.status == "fault" else None
            return StopCause(cause=cause, machine=_walk(sides[cause], cause)[0] or own)
        case _:
            return _nearest_culprit(sides)


def _nearest_culprit(sides: dict[Side, Sequence[MachineView]]) -> StopCause:
    """Return the nearer culprit of either side, with that side as the cause; upstream if both are as near."""
    culprits = {side: _walk(machines, side) for side, machines in sides.items()}
    nearest = min(culprits, key=lambda side: culprits[side][1])  # the first of equals is upstream
    culprit = culprits[nearest][0]
    return StopCause(cause="unknown") if culprit is None else StopCause(cause=nearest, machine=culprit)


def _walk(machines: Iterable[MachineView], side: Side) -> tuple[MachineView | None, float]:
    """Return the culprit on a side and its distance in machines; (None, infinity) if there is none."""
    fallback: tuple[MachineView | None, float] = (None, float("inf"))
    for distance, machine in enumerate(machines, start=1):
        match _walk_step_at(machine, side):
            case _WalkStep.CULPRIT:
                return machine, distance
            case _WalkStep.BLAMES_FURTHER:
                fallback = fallback if fallback[0] is not None else (machine, distance)
            case _WalkStep.WAITS:
                continue
            case _WalkStep.ENDS:
                break
    return fallback


def _walk_step_at(machine: MachineView, side: Side) -> _WalkStep:
    cause = DOWNTIME_CAUSE[machine.cause]
    if machine.attended:
        return _WalkStep.CULPRIT
    if machine.status == "fault":
        return _WalkStep.BLAMES_FURTHER if cause == side else _WalkStep.CULPRIT
    if machine.status in ("stopped", "idle"):
        if cause == "internal":
            return _WalkStep.CULPRIT
        return _WalkStep.WAITS if cause in (side, "unknown") else _WalkStep.ENDS
    # nothing is known of an offline machine
    return _WalkStep.WAITS if machine.status == "offline" else _WalkStep.ENDS
