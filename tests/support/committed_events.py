"""Committed events of a test's own, with bodies of any size."""

from bridge.domain.event_topic import EventTopic
from bridge.domain.events import CATEGORY_OF, EventType, Standing
from bridge.domain.records import CommittedEvent


def event(offset: int, kind: EventType = EventType.ANDON_EVENT, *, line: str = "L1", size: int = 10) -> CommittedEvent:
    """Return an event of one subject of a line, with a body of `size` bytes that is no JSON."""
    return CommittedEvent(
        offset=offset,
        id=f"s:e:{offset}",
        topic=EventTopic.parse(f"S/A/{line}/_/{CATEGORY_OF[kind]}/{kind}/high/x"),
        standing=Standing.CURRENT,
        timestamp=offset,
        audience=(),
        body=b"x" * size,
    )
