"""What is held of one downtime, and the event data it makes."""

from typing import Literal

from msgspec import Struct, field

from bridge.core import plant
from bridge.core.event_data import Downtime, DowntimeCategory, DowntimeCause, FaultNote, Loss, Person
from bridge.core.events import Millis, Priority, maybe_rfc3339, rfc3339
from bridge.core.line.status import Diagnosis

MAX_FAULTS = 32  # fault notes of one downtime: bounds what a chattering machine can put into one event


class Findings(Struct):
    """What is known of why, gathered from the stop on: the first known cause stays, faults are added."""

    equipment: str | None = None
    cause: DowntimeCause = "unknown"
    cause_equipment: str | None = None
    reason_code: str | None = None
    maintenance: bool = False
    setup: bool = False
    no_order: bool = False  # for a while there was nothing to make
    faults: list[FaultNote] = field(default_factory=list)

    @property
    def told_cause(self) -> DowntimeCause:
        """Waiting for an order is planned, unless a machine turned out to be the cause."""
        return "planned" if self.no_order and self.cause == "unknown" else self.cause

    def gather(self, seen: Diagnosis) -> None:
        if self.equipment is None:
            self.equipment = seen.equipment
        if self.cause == "unknown" and seen.cause != "unknown":
            self.cause = seen.cause
        if self.cause_equipment is None and seen.cause == self.cause:
            self.cause_equipment = seen.cause_equipment
        self.reason_code = seen.reason_code or self.reason_code
        self.maintenance = self.maintenance or seen.status == "maintenance"
        self.setup = self.setup or seen.status == "setup"
        self.no_order = self.no_order or seen.status_cause == "no_order"
        known = {(note.code, note.since) for note in self.faults}
        self.faults += [note for note in seen.faults if (note.code, note.since) not in known]
        del self.faults[MAX_FAULTS:]


class DowntimeRecord(Struct, kw_only=True):
    downtime_id: str
    started_at: Millis
    found: Findings
    status: Literal["open", "closed", "confirmed"] = "open"
    ended_at: Millis | None = None
    micro_stop: bool = False
    changeover: bool = False
    classified: str | None = None  # the reason code a person gave: it goes before the device's
    notes: str | None = None
    confirmed_by: Person | None = None
    priority: Priority = Priority.HIGH
    call_at: Millis | None = None  # when it calls for help by itself
    called: bool = False
    excluded: bool = False  # already out of the planned busy time


def reason_of(record: DowntimeRecord, reasons: plant.Plant) -> plant.Reason | None:
    return reasons.reason(record.classified or record.found.reason_code)


def category_of(record: DowntimeRecord, reason: plant.Reason | None) -> DowntimeCategory:
    """A person's word first, then a changeover, then what the machines say."""
    if record.classified is not None and reason is not None:
        return reason.category
    if record.changeover or record.found.setup:
        return "changeover"
    if reason is not None:
        return reason.category
    if record.found.maintenance:
        return "maintenance"
    return "planned" if record.found.told_cause == "planned" else "unplanned"


def loss_of(record: DowntimeRecord, category: DowntimeCategory, reason: plant.Reason | None) -> Loss:
    if record.micro_stop:
        return "minor_stop"
    if reason is not None and reason.category == category:
        return reason.loss
    if category in ("changeover", "planned"):
        return "setup"
    # Starved and blocked are idling, which is counted with the minor stops among the six big losses.
    return "minor_stop" if record.found.told_cause in ("upstream", "downstream") else "breakdown"


def downtime_data(record: DowntimeRecord, reasons: plant.Plant) -> Downtime:
    reason = reason_of(record, reasons)
    category = category_of(record, reason)
    ended = record.ended_at
    return Downtime(
        downtime_id=record.downtime_id,
        status=record.status,
        started_at=rfc3339(record.started_at),
        equipment_code=record.found.equipment,
        cause=record.found.told_cause,
        category=category,
        loss=loss_of(record, category, reason),
        micro_stop=record.micro_stop,
        faults=list(record.found.faults),
        ended_at=maybe_rfc3339(ended),
        duration_seconds=None if ended is None else (ended - record.started_at) / 1000,
        cause_equipment=record.found.cause_equipment,
        reason_code=record.classified or record.found.reason_code,
        reason_description=None if reason is None else reason.text,
        notes=record.notes,
        confirmed_by=record.confirmed_by,
    )
