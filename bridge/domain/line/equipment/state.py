"""Checkpointed state of one machine or station between its reports."""

from msgspec import Struct
from msgspec import field as member

from bridge.domain.event_data import Status, StatusCause
from bridge.domain.line.counters.machine_counters import Registers
from bridge.domain.line.device.state import DeviceState
from bridge.domain.line.equipment.faults import Faults
from bridge.domain.line.equipment.status_emitter import StatusEmitterState
from bridge.domain.utc_time import Millis


class ReportedState(Struct, kw_only=True):
    """A machine's last good `state` report, reduced to what determines its status."""

    status: Status
    cause: StatusCause | None
    speed: float | None = None
    speed_setpoint: float | None = None
    planned_stop: bool = False
    upstream_stop: bool = False
    downstream_stop: bool = False
    reason_code: str | None = None
    estimated: bool = False


class RememberedState(Struct, rename={"reported": "said"}):
    """State reported before an absence; it holds again if no report of the machine turns out to be missing."""

    reported: ReportedState | None
    faults: Faults


class EquipmentState(
    Struct,
    rename={
        "reported": "said",
        "lost_while_stopped": "stood",
        "lost_while_faulty": "failed",
        "first_report_at": "heard_again_at",
        "status_emitter": "shown",
    },
):
    """State of one machine or station; checkpointed."""

    device: DeviceState = member(default_factory=DeviceState)
    reported: ReportedState | None = None  # None: nothing is known since it came online
    lost_while_stopped: bool = False  # it was lost while known to be stopped, and nothing else is known since
    lost_while_faulty: bool = False  # it was broken when last seen before it was lost
    remembered: RememberedState | None = None  # its state when the bridge became absent
    unwatched_since: Millis | None = None  # start of the bridge's absence; no state reported since
    first_report_at: Millis | None = None  # first report since then that did not wait in a queue
    product: str | None = None
    faults: Faults = member(default_factory=Faults)
    stale: bool = False
    registers: Registers = member(default_factory=dict)
    status_emitter: StatusEmitterState = member(default_factory=StatusEmitterState)
    pieces_released: int = 0  # that its registers held, ever
    pieces_refused: int = 0
