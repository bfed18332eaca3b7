"""The plant file's model: sites, areas, lines, equipment, shifts and rules. Defaults are domain.md.

Validated by pydantic, because a person reads the errors; frozen, because the core depends on it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bridge.domain.escalation_policy import (
    DEFAULT_POLICIES,
    DEFAULT_PRIORITY,
    DEFAULT_RESPONDERS,
    EscalationPolicy,
    FloodRule,
)
from bridge.domain.event_data import AndonType, CallPriority, DowntimeCategory, LossKind
from bridge.domain.ids import Id
from bridge.domain.place import Place
from bridge.domain.shifts import ShiftConfig, ShiftPlan

LineId = Annotated[Id, Field(max_length=40)]  # leaves room for `{line}.call.{n}`
Seconds = Annotated[float, Field(ge=0.001, le=7 * 86_400)]  # timers count in ms
# Only what no plant has is outside these bounds: the journal may hold any plant file that has run
Positive = Annotated[float, Field(ge=1e-6, le=1e12)]  # cycles, rates and speeds
Measured = Annotated[float, Field(ge=-1e30, le=1e30)]
MAX_COUNT = 10**12  # far from 64 bits, in which a checkpoint and an event hold counts


class PlantModel(BaseModel):
    """Base of the models of the plant file: immutable, without unknown fields, infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Rules(PlantModel):
    """Thresholds and times of domain.md; a line may override the plant's. All durations are in seconds."""

    micro_stop_seconds: float = Field(60.0, ge=30, le=600)
    restart_seconds: float = Field(10.0, ge=0, le=600)  # running for this long ends a downtime
    report_minor_stops: bool = False
    auto_call_unclassified_seconds: Seconds = 300.0
    counter_slack: int = Field(10, ge=0, le=MAX_COUNT)
    max_dip: int = Field(5, ge=0, le=MAX_COUNT)
    debounce_seconds: float = Field(2.0, ge=0, le=60)  # presses of one station within this time count as one
    running_speed_ratio: float = Field(0.02, ge=0, lt=1)  # a machine runs above this share of its rated speed
    production_period_seconds: Seconds = 1.0
    oee_period_seconds: float = Field(10.0, ge=0.1, le=7 * 86_400)  # a timer that never rests
    oee_step: float = Field(0.005, gt=0, lt=1)
    reminder_before_acknowledge_seconds: Seconds = 300.0
    reminder_before_resolve_seconds: Seconds = 600.0
    changeover_good_pieces: int = Field(1, ge=1, le=MAX_COUNT)
    auto_complete_jobs: bool = False  # a second start on the line completes the running job
    complete_at_target: bool = False  # a job completes when its good pieces reach the target


class FaultDefinition(PlantModel):
    """One entry of a fault catalogue. Only kind `fault` is a fault; `stops`: it stops the machine."""

    bit: int | None = Field(None, ge=0, le=255)
    code: str
    text: str
    kind: Literal["fault", "instruction", "information"] = "fault"
    stops: bool = True
    cause: Literal["internal", "upstream", "downstream"] = "internal"


class CounterRule(PlantModel):
    """Modulus and highest rate of a device's counters."""

    modulus: int | None = Field(None, ge=2, le=2**64)
    max_rate_per_minute: Positive = 6_000.0


class MeasurementLimit(PlantModel):
    """A fixed limit on a measured parameter; the alert clears once the value is inside by `hysteresis`."""

    parameter: Id
    equipment: Id | None = None  # None: from any equipment of the line
    unit: str
    lower: Measured | None = None
    upper: Measured | None = None
    hysteresis: float = Field(0.0, ge=0, le=1e30)
    severity: CallPriority = "medium"

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.lower is None and self.upper is None:
            raise ValueError(f"limit on {self.parameter}: give lower, upper or both")
        if self.lower is not None and self.upper is not None and self.upper - self.lower <= 2 * self.hysteresis:
            raise ValueError(f"limit on {self.parameter}: nothing lies inside lower, upper and their hysteresis")
        return self


PackmlMode = Annotated[int, Field(ge=-(2**31), lt=2**31)]  # PackML: UnitModeCurrent is a 32-bit integer


class EquipmentConfig(PlantModel):
    """A machine (`plc`) or an Andon station."""

    id: Id
    name: str = ""
    kind: Literal["plc", "station"] = "plc"
    rated_speed: Positive | None = None
    speed_unit: str | None = None
    ideal_cycle_seconds: Positive | None = None
    counters: CounterRule = CounterRule()
    faults: tuple[FaultDefinition, ...] = ()
    packml_dialect: Literal["tr88", "tmc"] | None = None
    packml_modes: dict[PackmlMode, Literal["production", "maintenance", "manual", "setup"]] = {}  # more than PackML's
    heartbeat_seconds: Seconds | None = None  # silence longer than this means offline
    clock: Literal["receive", "device", "corrected"] = "receive"
    seq_modulus: int = Field(2**32, ge=2, le=2**64)
    input: Literal["momentary", "latching"] = "momentary"  # the kind of a station's `input`
    andon_types: tuple[AndonType, ...] = ()  # the types a station can raise; empty: all

    @property
    def has_trusted_clock(self) -> bool:
        return self.clock != "receive"


class Product(PlantModel):
    """A product with its own ideal cycle and planned changeover, instead of the line's; both in seconds."""

    id: Id
    ideal_cycle_seconds: Positive | None = None
    changeover_seconds: Positive | None = None


class LineConfig(PlantModel):
    """A line: its machines in flow order, and the machines whose counters are the line's."""

    id: LineId
    area: Id
    name: str = ""
    equipment: tuple[EquipmentConfig, ...] = Field(min_length=1, max_length=200)
    constraint: Id | None = None  # the machine with the line's status; None: the worst of `critical`
    critical: tuple[Id, ...] = ()  # empty: every plc
    total_from: tuple[Id, ...] = ()
    good_from: tuple[Id, ...] = ()
    reject_from: tuple[Id, ...] = ()
    pieces_per_count: int = Field(1, ge=1, le=1_000_000)
    ideal_cycle_seconds: Positive | None = None  # a product's own takes precedence
    target_rate_per_minute: Positive | None = None
    limits: tuple[MeasurementLimit, ...] = ()
    defect_rate_limit: float = Field(0.05, gt=0, le=1)  # attribute alert, of the last 50 inspected
    defect_count_limit: int = Field(5, ge=1, le=MAX_COUNT)
    rules: Rules | None = None  # omitted fields are the plant's

    @model_validator(mode="after")
    def _names_its_own_equipment(self) -> Self:
        ids = [equipment.id for equipment in self.equipment]
        if duplicates := _duplicates(ids):
            raise ValueError(f"line {self.id}: equipment named twice: {', '.join(duplicates)}")
        references = {*self.critical, *self.total_from, *self.good_from, *self.reject_from}
        if self.constraint is not None:
            references.add(self.constraint)
        references.update(limit.equipment for limit in self.limits if limit.equipment is not None)
        unknown = sorted(references - set(ids))
        if unknown:
            raise ValueError(f"line {self.id}: names equipment it does not have: {', '.join(unknown)}")
        return self

    def find_equipment(self, equipment: str) -> EquipmentConfig | None:
        return next((item for item in self.equipment if item.id == equipment), None)


class AreaConfig(PlantModel):
    id: Id
    site: Id
    name: str = ""


class DowntimeReason(PlantModel):
    """A leaf of the downtime reason tree."""

    code: Annotated[str, Field(min_length=1, max_length=64)]
    text: str
    category: DowntimeCategory = "unplanned"
    loss: LossKind = "breakdown"
    call_after_minutes: float | None = Field(None, gt=0, le=10_000_000)  # None: no automatic Andon call
    andon_type: AndonType = "equipment"
    priority: CallPriority = "high"


DEFAULT_REASONS = (
    DowntimeReason(code="MECH", text="Mechanical breakdown", call_after_minutes=15),
    DowntimeReason(code="ELEC", text="Electrical breakdown", call_after_minutes=10),
    DowntimeReason(code="PLC", text="Control system", call_after_minutes=5),
    DowntimeReason(
        code="MAT_JAM", text="Material jam", loss="minor_stop", call_after_minutes=20, andon_type="material"
    ),
    DowntimeReason(code="MAT_SHORTAGE", text="Material missing", call_after_minutes=30, andon_type="material"),
)


class Plant(PlantModel):
    """The whole plant file. Line ids are unique in the plant; every line's area exists."""

    name: str
    timezone: str = "UTC"
    shifts: tuple[ShiftConfig, ...] = ()  # none: one shift a day, from midnight
    rules: Rules = Rules()
    areas: tuple[AreaConfig, ...] = Field(min_length=1)
    lines: tuple[LineConfig, ...] = Field(min_length=1, max_length=10_000)
    products: tuple[Product, ...] = ()
    reasons: tuple[DowntimeReason, ...] = DEFAULT_REASONS
    ladder: dict[CallPriority, EscalationPolicy] = Field(default=DEFAULT_POLICIES)
    responders: dict[AndonType, tuple[str, ...]] = Field(default=DEFAULT_RESPONDERS)
    call_priority: dict[AndonType, CallPriority] = Field(default=DEFAULT_PRIORITY)
    flood: FloodRule = FloodRule()

    @field_validator("ladder", mode="after")
    @classmethod
    def _complete_ladder(cls, ladder: dict[CallPriority, EscalationPolicy]) -> dict[CallPriority, EscalationPolicy]:
        return {**DEFAULT_POLICIES, **ladder}

    @field_validator("responders", mode="after")
    @classmethod
    def _complete_responders(cls, responders: dict[AndonType, tuple[str, ...]]) -> dict[AndonType, tuple[str, ...]]:
        return {**DEFAULT_RESPONDERS, **responders}

    @field_validator("call_priority", mode="after")
    @classmethod
    def _complete_priorities(cls, priorities: dict[AndonType, CallPriority]) -> dict[AndonType, CallPriority]:
        return {**DEFAULT_PRIORITY, **priorities}

    @model_validator(mode="after")
    def _is_one_plant(self) -> Self:
        for kind, ids in (
            ("area", [area.id for area in self.areas]),
            ("line", [line.id for line in self.lines]),
            ("product", [product.id for product in self.products]),
            ("reason", [reason.code for reason in self.reasons]),
        ):
            if duplicates := _duplicates(ids):
                raise ValueError(f"{kind} ids named twice: {', '.join(duplicates)}")
        areas = {area.id for area in self.areas}
        for line in self.lines:
            if line.area not in areas:
                raise ValueError(f"line {line.id}: area {line.area} is not in this file")
        _ = self.shift_plan  # an unknown zone or overlapping shifts are errors of the file, not of the first shift
        return self

    @property
    def shift_plan(self) -> ShiftPlan:
        return ShiftPlan.create(self.timezone, self.shifts)

    def place_of(self, line: LineConfig) -> Place:
        area = next(area for area in self.areas if area.id == line.area)
        return Place(area.site, area.id, line.id)

    def rules_of(self, line: LineConfig) -> Rules:
        own = {} if line.rules is None else line.rules.model_dump(exclude_unset=True)
        return self.rules.model_copy(update=own)

    def find_product(self, product_id: str | None) -> Product | None:
        return next((product for product in self.products if product.id == product_id), None)

    def find_reason(self, code: str | None) -> DowntimeReason | None:
        return next((reason for reason in self.reasons if reason.code == code), None)


def _duplicates(ids: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(ids).items() if count > 1)
