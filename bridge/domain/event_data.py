"""The `data` of each event type. Source: domain.md, «The 13 events and their data».

A field without a default is always present, null if it has no value. A field with a default is omitted at the default.
Times are RFC 3339 UTC strings with milliseconds; `…_seconds` are floats; ratios run from 0 to 1; counts are integers.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bridge.domain.utc_time import Timestamp

Ratio = Annotated[float, Meta(ge=0, description="0 to 1; performance and progress may pass 1")]
Count = Annotated[int, Meta(ge=0)]

Status = Literal["running", "stopped", "fault", "maintenance", "setup", "idle", "offline"]
StatusCause = Literal["internal", "starved", "blocked", "no_order", "break", "planned", "unknown"]
DowntimeCause = Literal["internal", "upstream", "downstream", "planned", "unknown"]
DowntimeCategory = Literal["planned", "unplanned", "changeover", "maintenance"]
LossKind = Literal["breakdown", "setup", "minor_stop", "reduced_speed", "defects", "startup"]
AndonType = Literal["safety", "stop", "quality", "equipment", "maintenance", "material", "process", "changeover"]
CallPriority = Literal["low", "medium", "high", "critical"]
CallStatus = Literal["open", "acknowledged", "resolved", "cancelled"]
EscalationStatus = Literal["active", "acknowledged", "resolved", "cancelled"]
EscalationCause = Literal["ack_timeout", "resolve_timeout", "manual", "reminder"]
JobStatus = Literal["assigned", "accepted", "in_progress", "paused", "completed", "cancelled"]
QualityRule = Literal[
    "limit", "beyond_3_sigma", "2_of_3_beyond_2_sigma", "4_of_5_beyond_1_sigma", "run_of_8", "defect_rate"
]
OeeFlag = Literal[
    "ideal_cycle_suspect", "not_scheduled", "estimated", "quality_assumed", "unplanned_run", "counts_contradict"
]
NullReason = Literal["not_scheduled", "no_production_time", "no_pieces", "no_ideal_cycle"]


class Person(Struct, frozen=True, omit_defaults=True):
    """A user or a claimed operator; `claimed`: the identity is not proven."""

    id: str
    name: str | None = None
    claimed: bool = False


class LineStatus(Struct, frozen=True, omit_defaults=True, kw_only=True):
    scope: Literal["line", "equipment"]
    status: Status
    previous_status: Status | None
    since: Timestamp
    scheduled: bool
    cause: StatusCause | None = None
    speed: float | None = None
    target_speed: float | None = None
    speed_unit: str | None = None
    reason_code: str | None = None
    product: str | None = None
    job_id: str | None = None
    equipment: dict[str, Status] | None = None


class PlannedHour(Struct, frozen=True):
    """Good pieces of an hour; `planned` is null if nothing is planned, or if the line was not monitored."""

    start: Timestamp
    planned: float | None
    actual: int


class Production(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Pieces of the shift. `hourly`, `planned_count_now` and `difference` count good pieces from `planned_from` on.

    `planned_from` is present if monitoring of the line began later than `window_start`.
    """

    total_count: Count
    good_count: Count
    reject_count: Count
    rate_per_minute: float
    hourly: list[PlannedHour]
    production_day: str
    window_start: Timestamp
    planned_from: Timestamp | None = None
    target_quantity: int | None = None
    progress: Ratio | None = None
    planned_count_now: float | None = None
    difference: float | None = None
    target_rate: float | None = None
    job_id: str | None = None
    product: str | None = None
    shift_id: str | None = None


class Oee(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """ISO 22400-2: OEE = availability * performance * quality = PRI * GQ / PBT.

    `ideal_cycle_seconds` is PRI of one piece; if several products were made, the mean over the pieces.
    """

    window: Literal["shift", "job", "hour"]
    window_start: Timestamp
    window_end: Timestamp | None
    closed: bool
    oee: Ratio | None
    availability: Ratio | None
    performance: Ratio | None
    quality: Ratio | None
    planned_busy_seconds: float
    actual_production_seconds: float
    ideal_cycle_seconds: float | None
    total_count: Count
    good_count: Count
    unknown_seconds: float
    unknown_count: Count = 0  # pieces of the unknown time: in neither total_count nor any ratio
    flags: list[OeeFlag]
    null_reason: NullReason | None = None
    job_id: str | None = None
    shift_id: str | None = None


class FaultNote(Struct, frozen=True):
    code: str
    text: str
    since: Timestamp
    first_out: bool


class Downtime(Struct, frozen=True, omit_defaults=True, kw_only=True):
    downtime_id: str
    status: Literal["open", "closed", "confirmed"]
    started_at: Timestamp
    equipment_code: str | None
    cause: DowntimeCause
    category: DowntimeCategory
    loss: LossKind
    micro_stop: bool
    faults: list[FaultNote]
    ended_at: Timestamp | None = None
    duration_seconds: float | None = None
    cause_equipment: str | None = None
    reason_code: str | None = None
    reason_description: str | None = None
    notes: str | None = None
    confirmed_by: Person | None = None


class Andon(Struct, frozen=True, omit_defaults=True, kw_only=True):
    call_id: str
    andon_type: AndonType
    priority: CallPriority
    status: CallStatus
    raised_at: Timestamp
    raised_by: Person | None  # null: raised automatically, or by an unknown person
    escalation_level: Annotated[int, Meta(ge=0)]
    repeat: Annotated[int, Meta(ge=0)]
    auto_generated: bool
    station_id: str | None = None
    description: str | None = None
    acknowledged_at: Timestamp | None = None
    acknowledged_by: Person | None = None
    arrived_at: Timestamp | None = None
    resolved_at: Timestamp | None = None
    resolved_by: Person | None = None
    response_seconds: float | None = None
    resolution_code: str | None = None
    resolution_notes: str | None = None
    downtime_id: str | None = None
    called_again_at: Timestamp | None = None  # the trouble recurred: deadlines count from here, not from raised_at


class Escalation(Struct, frozen=True, omit_defaults=True, kw_only=True):
    escalation_id: str
    call_id: str
    andon_type: AndonType
    level: Annotated[int, Meta(ge=0)]
    previous_level: Annotated[int, Meta(ge=0)]
    status: EscalationStatus
    cause: EscalationCause | None  # null at level 0: only the call itself caused it
    recipients: list[str]
    deadline: Timestamp | None = None
    minutes_remaining: float | None = None
    paused: bool = False  # the line runs again: no deadline until the trouble recurs


class Job(Struct, frozen=True, omit_defaults=True, kw_only=True):
    job_id: str
    product: str
    status: JobStatus
    target_quantity: Count
    assigned_to: Person | None = None
    assigned_by: Person | None = None
    accepted_at: Timestamp | None = None
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    cancelled_at: Timestamp | None = None
    actual_quantity: int | None = None
    good_quantity: int | None = None
    cancellation_reason: str | None = None


class Quality(Struct, frozen=True, omit_defaults=True, kw_only=True):
    alert_id: str
    parameter: str
    rule: QualityRule
    value: float
    unit: str
    severity: CallPriority
    status: Literal["active", "cleared"]
    lower: float | None = None
    upper: float | None = None
    center: float | None = None
    sigma: float | None = None
    points: list[float] | None = None
    defect_count: int | None = None
    inspected_count: int | None = None
    defect_rate: float | None = None
    cleared_by: Person | None = None


class Changeover(Struct, frozen=True, omit_defaults=True, kw_only=True):
    changeover_id: str
    to_product: str
    started_at: Timestamp
    signalled_at: Timestamp
    from_product: str | None = None
    completed_at: Timestamp | None = None
    duration_seconds: float | None = None
    target_seconds: float | None = None
    startup_rejects: int | None = None
    outcome: Literal["completed", "abandoned"] | None = None


EventData = LineStatus | Production | Oee | Downtime | Andon | Escalation | Job | Quality | Changeover
