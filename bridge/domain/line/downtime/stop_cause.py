"""The culprit of a stopped line: a walk from the machine that decides its status towards the side of the cause.

Source: DOMAIN, «Downtime». A starved machine waits for the side before it, a blocked one for the side behind it. The
walk passes machines that merely wait, and ends at the first that stands by itself. What it found on another machine is
never the cause `internal`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from bridge.domain.event_data import DowntimeCause, FaultNote, Status, StatusCause

Side = Literal["upstream", "downstream"]

DOWNTIME_CAUSE: Final[dict[StatusCause | None, DowntimeCause]] = {
    "internal": "internal",
    "starved": "upstream",
    "blocked": "downstream",
    "planned": "planned",
    "break": "planned",
    "no_order": "unknown",  # as far as the machines report; `without_order` completes it
    "unknown": "unknown",
    None: "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """One machine as its line sees it, in the order of the flow."""

    equipment: str
    status: Status
    cause: StatusCause | None
    reason_code: str | None
    faults: tuple[FaultNote, ...]
    decides: bool  # the constraint, or one of the critical
    broken: bool = False  # a fault stops it, in whatever mode it is, or itself; of one offline: did when it was seen
    stands: bool = False  # offline, and known to have stood until then

    @property
    def attended(self) -> bool:
        """Somebody works on it already."""
        return self.status in ("maintenance", "setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCause:
    """The cause of a stop, and the machine that is to blame for it, if one of the line is."""

    cause: DowntimeCause
    machine: MachineView | None = None


class _Encounter(Enum):
    """What a machine on the way means for the walk."""

    CULPRIT = auto()
    ACCUSES = auto()  # in fault, and its fault blames what lies further on
    WAITS = auto()
    ENDS = auto()  # runs, stands by plan, or waits for the other side: what lies beyond it is not why


def find_culprit(flow: Sequence[MachineView], stopped: MachineView) -> StopCause:
    """Return why `stopped`, a machine of the flow that decides the line's status, does not run."""
    cause = DOWNTIME_CAUSE[stopped.cause]
    if stopped.attended or cause == "planned":
        return StopCause(cause=cause)  # somebody works on it or meant it: another machine's fault is not why
    place = flow.index(stopped)
    sides: dict[Side, Sequence[MachineView]] = {"upstream": flow[:place][::-1], "downstream": flow[place + 1 :]}
    match cause:
        case "internal":
            return StopCause(cause=cause, machine=stopped)
        case "upstream" | "downstream":
            # A fault that blames a neighbour stands until somebody clears it: without a culprit there it is its own.
            own = stopped if stopped.status == "fault" else None
            return StopCause(cause=cause, machine=_walk(sides[cause], cause)[0] or own)
        case _:
            return _nearest(sides)


def _nearest(sides: dict[Side, Sequence[MachineView]]) -> StopCause:
    """Blame the nearer of what stands by itself on either side; of two as near, the one upstream."""
    found = {side: _walk(machines, side) for side, machines in sides.items()}
    near = min(found, key=lambda side: found[side][1])  # the first of equals is upstream
    culprit = found[near][0]
    return StopCause(cause="unknown") if culprit is None else StopCause(cause=near, machine=culprit)


def _walk(machines: Iterable[MachineView], side: Side) -> tuple[MachineView | None, float]:
    """Return the culprit on a side and how many machines away it is; (None, infinity) where there is none."""
    accuser: tuple[MachineView | None, float] = (None, float("inf"))
    for distance, machine in enumerate(machines, start=1):
        match _encounter_of(machine, side):
            case _Encounter.CULPRIT:
                return machine, distance
            case _Encounter.ACCUSES:
                accuser = accuser if accuser[0] is not None else (machine, distance)
            case _Encounter.WAITS:
                continue
            case _Encounter.ENDS:
                break
    return accuser


def _encounter_of(machine: MachineView, side: Side) -> _Encounter:
    cause = DOWNTIME_CAUSE[machine.cause]
    if machine.attended:
        return _Encounter.CULPRIT
    if machine.status == "fault":
        return _Encounter.ACCUSES if cause == side else _Encounter.CULPRIT
    if machine.status in ("stopped", "idle"):
        if cause == "internal":
            return _Encounter.CULPRIT
        return _Encounter.WAITS if cause in (side, "unknown") else _Encounter.ENDS
    # nothing is known of one that is offline
    return _Encounter.WAITS if machine.status == "offline" else _Encounter.ENDS
