"""The 13 event types, their data, and the envelope a dashboard receives.

Source: design.md, «Message flow»; domain.md event table. The pure core emits an `Event` without a position; a
`CommittedEvent` has one (stream, epoch, offset).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal, assert_never

import msgspec
from msgspec import Meta, Struct

from bridge.domain import event_data as data

Millis = int
"""Milliseconds since the Unix epoch, UTC."""

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SCHEMA_VERSION: Final = 1
LINE_LEVEL: Final = "_"
"""The equipment level and the subject of everything that concerns the whole line."""


class EventType(StrEnum):
    LINE_STATUS_UPDATE = "line_status_update"
    PRODUCTION_UPDATE = "production_update"
    OEE_UPDATE = "oee_update"
    DOWNTIME_EVENT = "downtime_event"
    ANDON_EVENT = "andon_event"
    ESCALATION_UPDATE = "escalation_update"
    JOB_ASSIGNED = "job_assigned"
    JOB_STARTED = "job_started"
    JOB_COMPLETED = "job_completed"
    JOB_CANCELLED = "job_cancelled"
    QUALITY_ALERT = "quality_alert"
    CHANGEOVER_STARTED = "changeover_started"
    CHANGEOVER_COMPLETED = "changeover_completed"

    __hash__ = str.__hash__  # Enum's own is written in Python; every outbox counts every event by its type


class Category(StrEnum):
    LINE = "line"
    PRODUCTION = "production"
    OEE = "oee"
    DOWNTIME = "downtime"
    ANDON = "andon"
    ESCALATION = "escalation"
    JOB = "job"
    QUALITY = "quality"
    CHANGEOVER = "changeover"


class Priority(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Standing(StrEnum):
    """Effect of an event on the current state of its subject."""

    CURRENT = "current"  # becomes the current state
    CLOSED = "closed"  # ends the subject: it has no current state any more
    HISTORY = "history"  # amends the past, changes no current state


def category_of(event_type: EventType) -> Category:
    """Return the category level of the topic an event type is published under."""
    match event_type:
        case EventType.LINE_STATUS_UPDATE:
            return Category.LINE
        case EventType.PRODUCTION_UPDATE:
            return Category.PRODUCTION
        case EventType.OEE_UPDATE:
            return Category.OEE
        case EventType.DOWNTIME_EVENT:
            return Category.DOWNTIME
        case EventType.ANDON_EVENT:
            return Category.ANDON
        case EventType.ESCALATION_UPDATE:
            return Category.ESCALATION
        case EventType.JOB_ASSIGNED | EventType.JOB_STARTED | EventType.JOB_COMPLETED | EventType.JOB_CANCELLED:
            return Category.JOB
        case EventType.QUALITY_ALERT:
            return Category.QUALITY
        case EventType.CHANGEOVER_STARTED | EventType.CHANGEOVER_COMPLETED:
            return Category.CHANGEOVER
        case _:
            assert_never(event_type)


CATEGORY_OF: Final = {event_type: category_of(event_type) for event_type in EventType}

CONFLATED_TYPES: Final = frozenset({EventType.LINE_STATUS_UPDATE, EventType.PRODUCTION_UPDATE, EventType.OEE_UPDATE})
"""Conflated to the latest per state key when a dashboard is slow; every other type is lossless (promise P3)."""

DATA_OF: Final[dict[EventType, type[data.EventData]]] = {
    EventType.LINE_STATUS_UPDATE: data.LineStatus,
    EventType.PRODUCTION_UPDATE: data.Production,
    EventType.OEE_UPDATE: data.Oee,
    EventType.DOWNTIME_EVENT: data.Downtime,
    EventType.ANDON_EVENT: data.Andon,
    EventType.ESCALATION_UPDATE: data.Escalation,
    EventType.JOB_ASSIGNED: data.Job,
    EventType.JOB_STARTED: data.Job,
    EventType.JOB_COMPLETED: data.Job,
    EventType.JOB_CANCELLED: data.Job,
    EventType.QUALITY_ALERT: data.Quality,
    EventType.CHANGEOVER_STARTED: data.Changeover,
    EventType.CHANGEOVER_COMPLETED: data.Changeover,
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place on the floor: ids of site, area, line, and equipment (None for the whole line)."""

    site: str
    area: str
    line: str
    equipment: str | None = None

    def whole_line(self) -> "Place":
        return Place(self.site, self.area, self.line)

    def with_equipment(self, equipment: str | None) -> "Place":
        return Place(self.site, self.area, self.line, equipment)

    def levels(self) -> tuple[str, str, str, str]:
        """Return the four levels of the place in a topic."""
        return (self.site, self.area, self.line, self.equipment or LINE_LEVEL)

    @classmethod
    def from_levels(cls, levels: Sequence[str]) -> "Place":
        """Return the place with these four levels."""
        site, area, line, equipment = levels
        return cls(site, area, line, None if equipment == LINE_LEVEL else equipment)


LinePlace = tuple[str, str, str]
"""Site, area, line."""


class DataQuality(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Reliability of an event: which clock dated it, what was inferred, whether it amends history.

    `clock` and `estimated` are always present; the other fields are omitted at their default.
    """

    clock: Literal["receive", "device", "corrected", "skewed"]
    estimated: bool
    stale: bool = False
    historical: bool = False
    gap: int | None = None  # reports of this device known to be missing before this one
    unplaced: bool = False  # the position of the report in its device's sequence is not known
    ineffective: bool = False  # the device is alive, but no report of it has had an effect for a minute
    pieces_held: int | None = None  # counted by a register, waiting for the next sample to confirm or refute them
    pieces_released: int | None = None  # confirmed since the previous event, and now included in the counts
    pieces_refused: int | None = None  # refuted since the previous event, and never included in the counts


DEFAULT_QUALITY: Final = DataQuality(clock="receive", estimated=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One normalized fact, not yet positioned. `subject` and `priority` are fixed for a subject's life."""

    type: EventType
    place: Place
    subject: str
    priority: Priority
    revision: int
    timestamp: Millis
    data: data.EventData
    standing: Standing = Standing.CURRENT
    received_at: Millis | None = None
    caused_by: tuple[str, ...] = ()
    quality: DataQuality = DEFAULT_QUALITY

    @property
    def category(self) -> Category:
        return CATEGORY_OF[self.type]

    @property
    def audience(self) -> tuple[str, ...]:
        """The addressees: the assignee's user id (jobs), the recipient roles (escalations)."""
        match self.data:
            case data.Job(assigned_to=person) if person is not None:
                return (person.id,)
            case data.Escalation(recipients=roles):
                return tuple(roles)
            case _:
                return ()


Timestamp = data.Timestamp


class Envelope(Struct, frozen=True):
    """An event as journalled, published and delivered, byte for byte. Source: protocol.md, «Server frames»."""

    type: EventType
    schema_version: int
    id: Annotated[str, Meta(description="{stream}:{epoch}:{offset}")]
    stream: str
    epoch: str
    offset: Annotated[int, Meta(ge=1)]
    site: str
    area: str
    line_id: str
    equipment_code: str | None
    category: Category
    subject: str
    priority: Priority
    revision: Annotated[int, Meta(ge=1)]
    timestamp: Timestamp
    received_at: Timestamp | None
    caused_by: list[str]
    data_quality: DataQuality
    data: data.EventData


_ENCODER = msgspec.json.Encoder()


def rfc3339(at: Millis) -> Timestamp:
    """Format an instant as RFC 3339 UTC with milliseconds: `2026-01-05T06:00:00.000Z`."""
    return (UNIX_EPOCH + timedelta(milliseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"


def rfc3339_or_none(at: Millis | None) -> Timestamp | None:
    return None if at is None else rfc3339(at)


def encode_event(event: Event, *, stream: str, epoch: str, offset: int) -> bytes:
    """Encode an event's envelope at its position; same input, same bytes."""
    return _ENCODER.encode(
        Envelope(
            type=event.type,
            schema_version=SCHEMA_VERSION,
            id=event_id(stream, epoch, offset),
            stream=stream,
            epoch=epoch,
            offset=offset,
            site=event.place.site,
            area=event.place.area,
            line_id=event.place.line,
            equipment_code=event.place.equipment,
            category=event.category,
            subject=event.subject,
            priority=event.priority,
            revision=event.revision,
            timestamp=rfc3339(event.timestamp),
            received_at=rfc3339_or_none(event.received_at),
            caused_by=list(event.caused_by),
            data_quality=event.quality,
            data=event.data,
        )
    )


def event_id(stream: str, epoch: str, offset: int) -> str:
    return f"{stream}:{epoch}:{offset}"
