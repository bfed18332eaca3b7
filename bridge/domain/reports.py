"""Reports of devices: one struct per kind, and the decoded `Report` that a line applies.

Source: domain.md, «Reports». The structs are decoded strictly from JSON by `bridge.ingest`, which also holds the rules
over several fields; fields unknown to a kind are ignored and counted there. Commands of dashboard users share the
kinds andon, job, changeover, downtime and quality.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from bridge.domain.event_data import AndonType, CallPriority, Person
from bridge.domain.events import Event
from bridge.domain.ids import Id
from bridge.domain.place import ALL_LEVELS, Place
from bridge.domain.report_fields import (
    Counter,
    FaultBit,
    FaultWord,
    Number,
    PackmlName,
    Sample,
    SourceQuality,
    StateWord,
    Text,
    Unsigned,
    Word,
)
from bridge.domain.utc_time import Millis


class CommonFields(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields that every kind may have. `seq` counts a device's reports of all kinds within one `boot_id`."""

    ts: int | float | Annotated[str, Meta(max_length=40)] | None = None
    boot_id: Word | Unsigned | None = None
    seq: Unsigned | None = None
    source_quality: SourceQuality = "good"
    historical: bool = False
    operator: Word | None = None

    @property
    def is_sequenced(self) -> bool:
        """Return whether the report has a position in its device's sequence."""
        return self.boot_id is not None and self.seq is not None


class PackmlState(Struct, frozen=True):
    """A PackML state by its name, or by its number in the dialect, and the mode the machine is in."""

    dialect: Literal["tr88", "tmc"]
    state: int | PackmlName
    mode: int | None = None


class StateReport(CommonFields, frozen=True, kw_only=True):
    """A machine's state: the word `state`, or `packml` instead."""

    state: StateWord | None = None
    packml: PackmlState | None = None
    speed: Number | None = None
    speed_setpoint: Number | None = None
    planned_stop: bool = False
    upstream_stop: bool = False
    downstream_stop: bool = False
    fault_bits: FaultWord | Annotated[list[FaultBit], Meta(max_length=256)] | None = None
    fault_codes: Annotated[list[Word], Meta(max_length=256)] | None = None
    reason_code: Word | None = None
    product: Id | None = None


class CountsReport(CommonFields, frozen=True, kw_only=True):
    """Running totals of the device's own counters; at least one is present."""

    total: Counter | None = None
    good: Counter | None = None
    reject: Counter | None = None
    modulus: Annotated[int, Meta(ge=2)] | None = None


class MeasurementReport(CommonFields, frozen=True, kw_only=True):
    parameter: Id
    value: Number
    unit: Annotated[str, Meta(max_length=16)]


class InspectionReport(CommonFields, frozen=True, kw_only=True):
    inspected: Sample
    defects: Sample
    parameter: Id | None = None


class AndonReport(CommonFields, frozen=True, kw_only=True):
    """A press at a station: an `action`, or the level of an `input` (a button or a latching switch)."""

    andon_type: AndonType | None = None  # left out only where call_id names the call
    action: Literal["raise", "acknowledge", "arrive", "resolve", "cancel", "escalate"] | None = None
    input: bool | None = None
    priority: CallPriority | None = None
    call_id: Id | None = None
    description: Text | None = None
    notes: Text | None = None
    resolution_code: Word | None = None


class JobReport(CommonFields, frozen=True, kw_only=True):
    action: Literal["assign", "accept", "start", "pause", "complete", "cancel"]
    job_id: Id
    product: Id | None = None
    target_quantity: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    assigned_to: Id | None = None
    reason: Text | None = None


class ChangeoverReport(CommonFields, frozen=True, kw_only=True):
    action: Literal["start", "complete"]
    from_product: Id | None = None
    to_product: Id | None = None


class DowntimeReport(CommonFields, frozen=True, kw_only=True):
    action: Literal["classify", "confirm", "unconfirm"]
    downtime_id: Id
    reason_code: Word | None = None
    notes: Text | None = None


class QualityReport(CommonFields, frozen=True, kw_only=True):
    action: Literal["clear"]
    alert_id: Id


class BirthReport(CommonFields, frozen=True, kw_only=True):
    """The device is online; a new `boot_id` starts a new sequence."""


class DeathReport(CommonFields, frozen=True, kw_only=True):
    """The device is offline: its Will, or sent by itself. Ignored if its boot is past, or neither current nor newer."""


ReportBody = (
    StateReport
    | CountsReport
    | MeasurementReport
    | InspectionReport
    | AndonReport
    | JobReport
    | ChangeoverReport
    | DowntimeReport
    | QualityReport
    | BirthReport
    | DeathReport
)

BODY_OF: Final[Mapping[str, type[ReportBody]]] = {
    "state": StateReport,
    "counts": CountsReport,
    "measurement": MeasurementReport,
    "inspection": InspectionReport,
    "andon": AndonReport,
    "job": JobReport,
    "changeover": ChangeoverReport,
    "downtime": DowntimeReport,
    "quality": QualityReport,
    "birth": BirthReport,
    "death": DeathReport,
}
"""Report kind (the last topic level) -> its body."""

COMMAND_KINDS: Final = ("andon", "downtime", "job", "changeover", "quality")
"""Kinds that are accepted under `command/` too; `quality` is accepted there only."""


class Actor(Struct, frozen=True):
    """The authenticated user of a command; reports have none, whatever `operator` they claim.

    `granted_at`: the equipment levels of the line at which the action is granted to the user, or `ALL_LEVELS`.
    """

    id: str
    roles: tuple[str, ...]
    granted_at: tuple[str, ...]
    name: str | None = None

    def may_act_at(self, level: str | None) -> bool:
        """Return whether the action is granted at an equipment level; None: one that is not known any more."""
        return ALL_LEVELS in self.granted_at or level in self.granted_at


class Report(Struct, frozen=True, kw_only=True):
    """A decoded message; a command of a dashboard user has its `actor` and `command_id`."""

    place: Place
    body: ReportBody
    received_at: Millis
    cause: str  # for `caused_by` of events: `input:{number}`
    retained: bool = False
    redelivered: bool = False  # the broker may have sent it before
    actor: Actor | None = None
    command_id: str | None = None
    unknown_fields: int = 0


class Moment(Struct, frozen=True, kw_only=True):
    """Time and cause of a step of the core. `at` follows the source's clock rule, or is the deadline that passed."""

    at: Millis
    received_at: Millis | None = None  # None: a deadline
    dated: Millis | None = None  # by the device's own clock, where that is trusted
    caused_by: tuple[str, ...] = ()
    clock: Literal["receive", "device", "corrected", "skewed"] = "receive"
    gap: int | None = None  # reports of this device known to be missing before this one
    latest: bool = False  # its sequence shows that it is the device's latest report
    late: bool = False  # its sequence shows that later reports of the device came before it
    unplaced: bool = False  # its position in the device's sequence is not known
    device_time: Millis | None = None  # of Andon reports only: by the device's own clock, trusted or not
    identified: bool = False  # its sequence or a running clock distinguishes a copy of it from an equal report
    actor: Actor | None = None
    operator: str | None = None

    def is_granted_at(self, level: str | None) -> bool:
        """Return whether the action is granted at an equipment level, as `Actor.may_act_at`; reports need no grant."""
        return self.actor is None or self.actor.may_act_at(level)

    @property
    def happened_at(self) -> Millis:
        """Return the time by the device's clock where that is trusted, else `at`."""
        return self.at if self.dated is None else self.dated

    @property
    def received(self) -> Millis:
        """Return the time at which its report was received; of a deadline, when it passed."""
        return self.at if self.received_at is None else self.received_at

    @property
    def person(self) -> Person | None:
        """Return the authenticated user, else the claimed operator."""
        if self.actor is not None:
            return Person(self.actor.id, self.actor.name)
        return None if self.operator is None else Person(self.operator, claimed=True)


class Effect(StrEnum):
    """Effect of an input; received = applied + suppressed + quarantined (promise P6)."""

    APPLIED = "applied"
    SUPPRESSED = "suppressed"  # understood, and deliberately without effect, for the given reason
    QUARANTINED = "quarantined"  # not understood, or not allowed on its topic; kept with the reason


class Disposition(Struct, frozen=True):
    """The effect and its reason, one of a bounded set of codes. `rejected`: the action is not allowed now."""

    effect: Effect
    reason: str | None = None
    rejected: bool = False


APPLIED: Final = Disposition(Effect.APPLIED)


def suppressed(reason: str) -> Disposition:
    return Disposition(Effect.SUPPRESSED, reason)


def rejected(reason: str) -> Disposition:
    """Return the disposition of an action that the state of the floor does not allow; counted as suppressed."""
    return Disposition(Effect.SUPPRESSED, reason, rejected=True)


def quarantined(reason: str) -> Disposition:
    return Disposition(Effect.QUARANTINED, reason)


class Outcome(Struct, frozen=True):
    """Outcome of `Line.apply` for one report: its disposition, and the events of deadlines and report, in order.

    The first `deadline_events` of the events come from deadlines that had passed, not from the report.
    """

    disposition: Disposition
    events: tuple[Event, ...] = ()
    deadline_events: int = 0
