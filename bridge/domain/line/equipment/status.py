"""Status of a machine, derived from its reports, and of a line, from its machines. Source: domain.md, «Status»."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.event_data import DowntimeCause, FaultNote, Status, StatusCause
from bridge.domain.line.downtime.stop_cause import DOWNTIME_CAUSE, MachineView, StopCause, find_culprit
from bridge.domain.line.equipment.faults import Faults

STATUS_OF_WORD: Final[dict[str, tuple[Status, StatusCause | None]]] = {
    "running": ("running", None),
    "stopped": ("stopped", None),
    "fault": ("fault", "internal"),
    "maintenance": ("maintenance", None),
    "setup": ("setup", None),
    "idle": ("idle", None),
}
"""Status words of a native `state` report."""

WORST_FIRST: Final[tuple[Status, ...]] = ("fault", "stopped", "maintenance", "setup", "idle", "offline", "running")
"""A known stop outweighs an unknown state: the line surely does not run. Unknown outweighs running."""


class MachineSignals(Struct, frozen=True, kw_only=True):
    """Last report of a machine: status and cause of its status word or PackML state, and further signals."""

    word: Status
    word_cause: StatusCause | None
    speed: float | None = None
    rated_speed: float | None = None
    running_speed_ratio: float = 0.02
    planned_stop: bool = False
    upstream_stop: bool = False
    downstream_stop: bool = False


def derive_status(signals: MachineSignals, faults: Faults) -> tuple[Status, StatusCause | None]:
    """Return a machine's status and its cause; causes in the order internal, upstream, downstream, planned, unknown.

    A state that is internal by its family alone, such as PackML's Held, is planned if the machine reports it so.
    """
    if signals.word in ("maintenance", "setup"):
        return signals.word, signals.word_cause
    first_out = faults.first_out_fault
    if first_out is not None or signals.word == "fault":
        return "fault", "internal" if first_out is None else first_out.cause
    if signals.word == "running" and not signals.planned_stop and _is_turning(signals):
        return "running", None
    status: Status = "stopped" if signals.word == "running" else signals.word
    if signals.word_cause == "internal":
        return status, "planned" if signals.planned_stop else "internal"
    if signals.upstream_stop:
        return status, "starved"
    if signals.downstream_stop:
        return status, "blocked"
    return status, "planned" if signals.planned_stop else "unknown"


def _is_turning(signals: MachineSignals) -> bool:
    if signals.speed is None or signals.rated_speed is None:
        return True  # without a known speed the status word decides
    return signals.speed > signals.rated_speed * signals.running_speed_ratio


class Diagnosis(Struct, frozen=True, kw_only=True):
    """Status of a line and its cause: the stopped machine, the culprit, and the faults involved."""

    status: Status
    status_cause: StatusCause | None
    equipment: str | None
    cause: DowntimeCause
    cause_equipment: str | None
    reason_code: str | None
    faults: tuple[FaultNote, ...]
    attended: bool = False  # somebody already works on the culprit
    broken: frozenset[str] = frozenset()  # machines stopped by a fault or an internal cause, also if lost since
    lost: frozenset[str] = frozenset()  # those of them that are offline: they may be repaired or not
    worked_on: frozenset[str] = frozenset()  # the machines under maintenance or in setup
    known_stopped: bool = False  # offline, but known not to run


UNKNOWN_LINE: Final = Diagnosis(
    status="offline",
    status_cause=None,
    equipment=None,
    cause="unknown",
    cause_equipment=None,
    reason_code=None,
    faults=(),
)


def diagnose(machines: Sequence[MachineView]) -> Diagnosis:
    """Return the status of the worst deciding machine (of equals, the first in the flow) and the culprit of a stop."""
    deciding = [machine for machine in machines if machine.decides]
    if not deciding:
        return UNKNOWN_LINE
    worst = min(deciding, key=lambda machine: WORST_FIRST.index(machine.status))
    if worst.status in ("running", "offline"):
        stop_cause = StopCause(cause=DOWNTIME_CAUSE[worst.cause])
    else:
        stop_cause = find_culprit(machines, worst)
    culprit = stop_cause.machine
    return Diagnosis(
        status=worst.status,
        status_cause=worst.cause,
        equipment=worst.equipment,
        cause=stop_cause.cause,
        cause_equipment=None if culprit is None else culprit.equipment,
        reason_code=(culprit.reason_code if culprit is not None else None) or worst.reason_code,
        faults=tuple(note for machine in machines for note in machine.faults),
        attended=culprit is not None and culprit.attended,
        broken=frozenset(machine.equipment for machine in machines if machine.broken),
        lost=frozenset(machine.equipment for machine in machines if machine.broken and machine.status == "offline"),
        worked_on=frozenset(machine.equipment for machine in machines if machine.attended),
        known_stopped=worst.status == "offline" and any(machine.known_stopped for machine in deciding),
    )


def with_no_order_cause(diagnosis: Diagnosis) -> Diagnosis:
    """Return the diagnosis of a line without a job: idle for want of an order, unless another cause is known."""
    if diagnosis.status != "idle" or diagnosis.status_cause != "unknown" or diagnosis.cause != "unknown":
        return diagnosis
    return replace(diagnosis, status_cause="no_order")
