"""State of a line between two steps, as its checkpoint holds it. Bounded: each part bounds its own."""

from typing import Self

from msgspec import Struct, field, msgpack

from bridge.domain.emitter import Subjects
from bridge.domain.line.absence.record import AbsenceState
from bridge.domain.line.andon.call_registry import AndonState
from bridge.domain.line.changeover import ChangeoverState
from bridge.domain.line.device.state import DeviceState
from bridge.domain.line.downtime.registry import DowntimesState
from bridge.domain.line.equipment.state import EquipmentState
from bridge.domain.line.equipment.status_emitter import StatusEmitterState
from bridge.domain.line.jobs import JobsState
from bridge.domain.line.output.oee_state import OeeState
from bridge.domain.line.output.piece_counter import ProductionState
from bridge.domain.line.quality.alerts import QualityState
from bridge.domain.shifts import ShiftWindow
from bridge.domain.utc_time import Millis


class OperationsState(Struct):
    """A line's calls, jobs, changeover, alerts and product; checkpointed."""

    andon: AndonState = field(default_factory=AndonState)
    jobs: JobsState = field(default_factory=JobsState)
    changeover: ChangeoverState = field(default_factory=ChangeoverState)
    quality: QualityState = field(default_factory=QualityState)
    product: str | None = None  # what the line runs or is set up for
    reported_product: str | None = None  # what its machines last reported: only a change of it counts
    had_job: bool = False  # a line that never had a job does not lack an order


class OutputState(Struct):
    """Pieces and OEE, of the line (`_`) and of each machine that has them."""

    counts: dict[str, ProductionState] = field(default_factory=dict)
    oee: dict[str, OeeState] = field(default_factory=dict)
    counters_seen: list[str] = field(default_factory=list)  # of the line's own: total, good, reject


class LineState(Struct, rename={"line_source": "talker", "status_emitter": "shown", "operations": "people"}):
    """State of a line; its encoded bytes are the checkpoint."""

    last_now: Millis = 0
    at: Millis = 0  # the latest step; no event of the line is dated before it
    shift: ShiftWindow | None = None  # None: nothing was ever reported, so nothing is tracked
    line_source: DeviceState = field(default_factory=DeviceState)  # the source that reports for the line itself
    equipment: dict[str, EquipmentState] = field(default_factory=dict)
    status_emitter: StatusEmitterState = field(default_factory=StatusEmitterState)
    subjects: Subjects = field(default_factory=Subjects)
    operations: OperationsState = field(default_factory=OperationsState)
    downtimes: DowntimesState = field(default_factory=DowntimesState)
    output: OutputState = field(default_factory=OutputState)
    absences: AbsenceState = field(default_factory=AbsenceState)

    @classmethod
    def decode(cls, checkpoint: bytes) -> Self:
        """Decode a checkpoint; raise msgspec.DecodeError for invalid bytes."""
        return msgpack.decode(checkpoint, type=cls)

    def encode(self) -> bytes:
        """Encode the whole state; its size is bounded, whatever was reported."""
        return msgpack.encode(self)
