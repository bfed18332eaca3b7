"""Envelope of an event: its position, and its bytes as journalled, published and delivered.

Source: protocol.md, «Server frames».
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bridge.domain import event_data as data
from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Category, DataQuality, Event, EventType, Priority
from bridge.domain.records import CommittedEvent
from bridge.domain.utc_time import Timestamp, rfc3339, rfc3339_or_none

SCHEMA_VERSION: Final = 1


class Envelope(Struct, frozen=True):
    """An event as journalled, published and delivered, byte for byte."""

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


def position_event(event: Event, *, stream: str, epoch: str, offset: int) -> CommittedEvent:
    """Return an event at its position, encoded."""
    return CommittedEvent(
        offset=offset,
        id=event_id(stream, epoch, offset),
        topic=EventTopic.from_event(event),
        standing=event.standing,
        timestamp=event.timestamp,
        audience=event.audience,
        body=encode_event(event, stream=stream, epoch=epoch, offset=offset),
    )


_ENCODER = msgspec.json.Encoder()


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
