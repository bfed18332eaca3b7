"""The 13 event types and their data.

Source: design.md, «Message flow»; domain.md, «The 13 events and their data». The pure core emits an
`Event` without a position; a `CommittedEvent` has one (stream, epoch, offset).
"""

from enum import Enum, StrEnum, auto
from typing import Final, Literal, assert_never

from msgspec import Struct

from bridge.domain import event_data as data
from bridge.domain.place import Place
from bridge.domain.utc_time import Millis


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

    __hash__ = str.__hash__  # Enum's own is written in Python; every event is counted by its type


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


class LossPolicy(Enum):
    """Promise P3: the treatment of an event that waits for a slow dashboard."""

    LOSSLESS = auto()  # sent, however late
    CONFLATED = auto()  # replaced by the next one of its state key


def loss_policy_of(event_type: EventType) -> LossPolicy:
    match event_type:
        case EventType.LINE_STATUS_UPDATE | EventType.PRODUCTION_UPDATE | EventType.OEE_UPDATE:
            return LossPolicy.CONFLATED
        case (
            EventType.DOWNTIME_EVENT
            | EventType.ANDON_EVENT
            | EventType.ESCALATION_UPDATE
            | EventType.JOB_ASSIGNED
            | EventType.JOB_STARTED
            | EventType.JOB_COMPLETED
            | EventType.JOB_CANCELLED
            | EventType.QUALITY_ALERT
            | EventType.CHANGEOVER_STARTED
            | EventType.CHANGEOVER_COMPLETED
        ):
            return LossPolicy.LOSSLESS
        case _:
            assert_never(event_type)


CONFLATED_TYPES: Final = frozenset(kind for kind in EventType if loss_policy_of(kind) is LossPolicy.CONFLATED)


def data_type_of(event_type: EventType) -> type[data.EventData]:
    """Return the type of the `data` of an event type."""
    match event_type:
        case EventType.LINE_STATUS_UPDATE:
            return data.LineStatus
        case EventType.PRODUCTION_UPDATE:
            return data.Production
        case EventType.OEE_UPDATE:
            return data.Oee
        case EventType.DOWNTIME_EVENT:
            return data.Downtime
        case EventType.ANDON_EVENT:
            return data.Andon
        case EventType.ESCALATION_UPDATE:
            return data.Escalation
        case EventType.JOB_ASSIGNED | EventType.JOB_STARTED | EventType.JOB_COMPLETED | EventType.JOB_CANCELLED:
            return data.Job
        case EventType.QUALITY_ALERT:
            return data.Quality
        case EventType.CHANGEOVER_STARTED | EventType.CHANGEOVER_COMPLETED:
            return data.Changeover
        case _:
            assert_never(event_type)


DATA_OF: Final = {event_type: data_type_of(event_type) for event_type in EventType}


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


class Event(Struct, frozen=True, kw_only=True):
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
        """Return the addressees: the assignee's user id (jobs), the recipient roles (escalations)."""
        match self.data:
            case data.Job(assigned_to=person):
                return () if person is None else (person.id,)
            case data.Escalation(recipients=roles):
                return tuple(roles)
            case (
                data.LineStatus()
                | data.Production()
                | data.Oee()
                | data.Downtime()
                | data.Andon()
                | data.Quality()
                | data.Changeover()
            ):
                return ()
            case _:
                assert_never(self.data)
