"""What one dashboard follows: its admitted subscriptions, each from an offset on, and the one event that needs none.

A dashboard gets an event once, however many of its subscriptions match; and none before the offset that its snapshot or
its own last position covers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bridge.core.access.subscriptions import Admitted
from bridge.core.access.viewer import Viewer
from bridge.core.events import EventType
from bridge.core.records import CommittedEvent
from bridge.core.topics import TopicFilter, TopicName


class Interest(Protocol):
    """Anything that may want an event."""

    after: int

    def wants(self, event: CommittedEvent, name: TopicName) -> bool:
        """Whether the event is for it; `name` is the event's topic, parsed."""


@dataclass(slots=True, eq=False)
class Following:
    """A subscription in force. `admitted` None: nothing of it is granted now, a later token may change that."""

    id: str
    admitted: Admitted | None
    after: int

    @property
    def effective(self) -> tuple[TopicFilter, ...]:
        return () if self.admitted is None else self.admitted.effective

    def admits(self, event: CommittedEvent, name: TopicName) -> bool:
        """Whether the event was asked for and is granted now, whatever its offset."""
        return self.admitted is not None and self.admitted.wants(name, audience=event.audience)

    def wants(self, event: CommittedEvent, name: TopicName) -> bool:
        return event.offset > self.after and self.admits(event, name)


@dataclass(slots=True, eq=False)
class Assignments:
    """job_assigned reaches its assignee without any subscription, as far as their grants allow (DESIGN)."""

    viewer: Viewer
    after: int

    def wants(self, event: CommittedEvent, name: TopicName) -> bool:
        if event.type is not EventType.JOB_ASSIGNED or event.offset <= self.after:
            return False
        return self.viewer.user_id in event.audience and self.viewer.may_read(name)


@dataclass(frozen=True, slots=True)
class Replay:
    """Reading again up to `until`, what `settled` interests have had already and `fresh` ones have not."""

    until: int
    fresh: tuple[Interest, ...]
    settled: tuple[Interest, ...]

    def wants(self, event: CommittedEvent, name: TopicName) -> bool:
        if any(each.wants(event, name) for each in self.settled):
            return False
        return any(each.wants(event, name) for each in self.fresh)


def wanted(interests: Iterable[Interest], event: CommittedEvent, name: TopicName) -> bool:
    return any(each.wants(event, name) for each in interests)
