"""What a machine's words and signals amount to, and what a line's machines amount to. Source: DOMAIN, «Status»."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bridge.core.event_data import DowntimeCause, FaultNote, Status, StatusCause
from bridge.core.line.faults import Faults

WORDS: Final[dict[str, tuple[Status, StatusCause | None]]] = {
    "running": ("running", None),
    "stopped": ("stopped", None),
    "fault": ("fault", "internal"),
    "maintenance": ("maintenance", None),
    "setup": ("setup", None),
    "idle": ("idle", None),
}
"""Status words of a native `state` report."""

WORST_FIRST: Final[tuple[Status, ...]] = ("fault", "stopped", "maintenance", "setup", "idle", "offline", "running")
"""A known stop weighs more than an unknown state: the line surely does not run. Unknown weighs more than running."""

HALTED: Final[frozenset[Status]] = frozenset({"stopped", "idle"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What a machine said last: status and cause of its word or PackML state, and the signals beside it."""

    word: Status
    word_cause: StatusCause | None
    speed: float | None = None
    rated_speed: float | None = None
    running_speed_ratio: float = 0.02
    planned_stop: bool = False
    upstream_stop: bool = False
    downstream_stop: bool = False


def judge(signals: Signals, faults: Faults) -> tuple[Status, StatusCause | None]:
    """Return a machine's status and its cause; causes in the order internal, upstream, downstream, planned, unknown."""
    if signals.word in ("maintenance", "setup"):
        return signals.word, signals.word_cause
    first = faults.stopping
    if first is not None or signals.word == "fault":
        return "fault", "internal" if first is None else first.cause
    if signals.word == "running" and not signals.planned_stop and _turns(signals):
        return "running", None
    status: Status = "stopped" if signals.word == "running" else signals.word
    if signals.word_cause == "internal":
        return status, "internal"
    if signals.upstream_stop:
        return status, "starved"
    if signals.downstream_stop:
        return status, "blocked"
    return status, "planned" if signals.planned_stop else "unknown"


def _turns(signals: Signals) -> bool:
    if signals.speed is None or signals.rated_speed is None:
        return True  # where speed is not known, the word alone says it
    return signals.speed > signals.rated_speed * signals.running_speed_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """One machine as its line sees it, in the order of the flow."""

    equipment: str
    status: Status
    cause: StatusCause | None
    reason_code: str | None
    faults: tuple[FaultNote, ...]
    decides: bool  # the constraint, or one of the critical
    stands: bool = False  # offline, and known to have stood until then


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why a line is in its status: what stopped, what made it stop, and the faults on the way."""

    status: Status
    status_cause: StatusCause | None
    equipment: str | None
    cause: DowntimeCause
    cause_equipment: str | None
    reason_code: str | None
    faults: tuple[FaultNote, ...]
    stands: bool = False  # offline, and yet it is known not to run


UNKNOWN_LINE: Final = Diagnosis(
    status="offline",
    status_cause=None,
    equipment=None,
    cause="unknown",
    cause_equipment=None,
    reason_code=None,
    faults=(),
)

_DOWNTIME_CAUSE: Final[dict[StatusCause | None, DowntimeCause]] = {
    "internal": "internal",
    "starved": "upstream",
    "blocked": "downstream",
    "planned": "planned",
    "break": "planned",
    "no_order": "unknown",  # as far as the machines go; `without_order` is put beside it
    "unknown": "unknown",
    None: "unknown",
}


def diagnose(flow: Sequence[MachineView]) -> Diagnosis:
    """Return the line's status: that of the worst deciding machine, the first of equals in the flow.

    The culprit is the first faulted machine, walking the flow; without one, a machine that stopped by itself.
    """
    deciding = [machine for machine in flow if machine.decides]
    if not deciding:
        return UNKNOWN_LINE
    worst = min(deciding, key=lambda machine: WORST_FIRST.index(machine.status))
    if worst.status in ("running", "offline"):
        culprit, cause = None, _DOWNTIME_CAUSE[worst.cause]
    else:
        culprit, cause = _culprit(flow, worst)
    return Diagnosis(
        status=worst.status,
        status_cause=worst.cause,
        equipment=worst.equipment,
        cause=cause,
        cause_equipment=None if culprit is None else culprit.equipment,
        reason_code=(culprit.reason_code if culprit is not None else None) or worst.reason_code,
        faults=tuple(note for machine in flow for note in machine.faults),
        stands=worst.status == "offline" and any(machine.stands for machine in deciding),
    )


def without_order(seen: Diagnosis) -> Diagnosis:
    """Return why a line without a job stands: it idles for want of an order, unless something else is known."""
    if seen.status != "idle" or seen.status_cause != "unknown" or seen.cause != "unknown":
        return seen
    return replace(seen, status_cause="no_order")


def _culprit(flow: Sequence[MachineView], worst: MachineView) -> tuple[MachineView | None, DowntimeCause]:
    cause = _DOWNTIME_CAUSE[worst.cause]
    faulted = next((machine for machine in flow if machine.status == "fault"), None)
    if worst.status in ("maintenance", "setup") or cause == "planned":
        return None, cause  # somebody works on it or meant it: another machine's fault is not why
    if faulted is None:
        return (worst if cause == "internal" else None), cause
    if cause != "unknown":
        return faulted, cause
    place = {machine.equipment: index for index, machine in enumerate(flow)}
    if faulted.equipment == worst.equipment:
        return faulted, "internal"
    return faulted, "upstream" if place[faulted.equipment] < place[worst.equipment] else "downstream"
