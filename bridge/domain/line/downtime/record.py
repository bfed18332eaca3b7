"""Record of one downtime, its category and loss, and its event data."""

from typing import Literal, NamedTuple

from msgspec import Struct

from bridge.domain import plant
from bridge.domain.event_data import Downtime, DowntimeCategory, LossKind, Person
from bridge.domain.events import Priority
from bridge.domain.line.downtime.findings import DowntimeFindings
from bridge.domain.utc_time import Millis, rfc3339, rfc3339_or_none


class ScheduledCall(Struct, kw_only=True):
    """An automatic call and its due time; kept for a breakdown that a changeover interrupted, while its fault lasts."""

    downtime_id: str
    since: Millis
    due: Millis
    equipment: str | None
    reason_code: str | None


class DowntimeRecord(
    Struct, kw_only=True, rename={"findings": "found", "interrupted_call": "owed", "deferred": "put_off"}
):
    """One downtime with its findings, its classification by people, and its automatic call."""

    downtime_id: str
    started_at: Millis
    findings: DowntimeFindings
    status: Literal["open", "closed", "confirmed"] = "open"
    ended_at: Millis | None = None
    micro_stop: bool = False
    changeover: bool = False
    classified: str | None = None  # a person's reason code; overrides the device's
    notes: str | None = None
    confirmed_by: Person | None = None
    priority: Priority = Priority.HIGH
    call_at: Millis | None = None  # when its automatic call is due
    called: bool = False
    called_for: str | None = None  # the equipment of that call
    deferred: bool = False  # another machine of it has an open call: nothing is due until something changes
    interrupted_call: ScheduledCall | None = None  # the call of the previous downtime, which a changeover interrupted
    excluded: bool = False  # already excluded from the planned busy time
    unwatched: bool = False  # part of it is unknown: all its further events are estimated

    @property
    def counted_from(self) -> Millis:
        """Return when the wait for its call begins."""
        return self.started_at if self.findings.since is None else max(self.started_at, self.findings.since)

    @property
    def current_classification(self) -> str | None:
        """A person's reason code, if it is about the machine that keeps the line stopped now."""
        return self.classified if self.findings.further is None else None

    @property
    def call_reason_code(self) -> str | None:
        """The reason code of what keeps the line stopped now."""
        return self.current_classification or self.findings.current_reason_code

    def set_forward(self, by: Millis) -> None:
        """Delay its calls by a forward step of the host's clock; its start stays."""
        self.unwatched = True
        self.findings.since = self.counted_from + by
        if self.call_at is not None:
            self.call_at += by
        if self.interrupted_call is not None:
            self.interrupted_call.due += by


class PlannedTimeChange(NamedTuple):
    """A downtime's span that leaves the planned busy time (`excluded`), or returns to it."""

    start: Millis
    end: Millis
    excluded: bool


def reason_of(record: DowntimeRecord, plant_config: plant.Plant) -> plant.DowntimeReason | None:
    return plant_config.find_reason(record.classified or record.findings.reason_code)


def call_reason_of(record: DowntimeRecord, plant_config: plant.Plant) -> plant.DowntimeReason | None:
    """Return the reason that governs the downtime's call: that of the machine that keeps the line stopped now."""
    return plant_config.find_reason(record.call_reason_code)


def is_breakdown(record: DowntimeRecord, reason: plant.DowntimeReason | None) -> bool:
    """Return whether a failure is known to be the cause, from the machines or from a person."""
    has_cause = record.classified is not None or record.findings.is_breakdown
    return has_cause and categorize(record, reason) in ("unplanned", "maintenance")


def categorize(record: DowntimeRecord, reason: plant.DowntimeReason | None) -> DowntimeCategory:
    """Return the category: by a person's classification, else a changeover, else the machines' own reasons."""
    if record.classified is not None and reason is not None:
        return reason.category
    if record.changeover or record.findings.setup:
        return "changeover"
    if reason is not None:
        return reason.category
    if record.findings.maintenance:
        return "maintenance"
    return "planned" if record.findings.reported_cause == "planned" else "unplanned"


def loss_of(record: DowntimeRecord, category: DowntimeCategory, reason: plant.DowntimeReason | None) -> LossKind:
    if record.micro_stop:
        return "minor_stop"
    if reason is not None and reason.category == category:
        return reason.loss
    if category in ("changeover", "planned"):
        return "setup"
    # Starved and blocked are idling, which is counted with the minor stops among the six big losses.
    return "minor_stop" if record.findings.reported_cause in ("upstream", "downstream") else "breakdown"


def downtime_data(record: DowntimeRecord, plant_config: plant.Plant) -> Downtime:
    reason = reason_of(record, plant_config)
    category = categorize(record, reason)
    ended = record.ended_at
    return Downtime(
        downtime_id=record.downtime_id,
        status=record.status,
        started_at=rfc3339(record.started_at),
        equipment_code=record.findings.equipment,
        cause=record.findings.reported_cause,
        category=category,
        loss=loss_of(record, category, reason),
        micro_stop=record.micro_stop,
        faults=list(record.findings.faults),
        ended_at=rfc3339_or_none(ended),
        duration_seconds=None if ended is None else (ended - record.started_at) / 1000,
        cause_equipment=record.findings.cause_equipment,
        reason_code=record.classified or record.findings.reason_code,
        reason_description=None if reason is None else reason.text,
        notes=record.notes,
        confirmed_by=record.confirmed_by,
    )
