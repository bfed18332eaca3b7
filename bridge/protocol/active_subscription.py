"""Active subscriptions of one dashboard, each from an offset on, and the implicit one to the viewer's job assignments.

A dashboard gets an event once, however many of its subscriptions match. It gets no event that its snapshot or its own
last position already covers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.events import EventType
from bridge.domain.records import CommittedEvent
from bridge.domain.topics import TopicFilter


class EventSelector(Protocol):
    """Selects events after an offset."""

    after: int

    def selects(self, event: CommittedEvent) -> bool:
        """Return whether the event is to be delivered."""


@dataclass(slots=True, eq=False)
class ActiveSubscription:
    """A subscription in force. `subscription` is None while nothing of it is granted; a later token may change that."""

    id: str
    subscription: Subscription | None
    after: int

    @property
    def effective(self) -> tuple[TopicFilter, ...]:
        return () if self.subscription is None else self.subscription.effective

    def matches(self, event: CommittedEvent) -> bool:
        """Return whether the event is subscribed to and granted now, whatever its offset."""
        return self.subscription is not None and self.subscription.matches(event.topic, audience=event.audience)

    def selects(self, event: CommittedEvent) -> bool:
        return event.offset > self.after and self.matches(event)


@dataclass(slots=True, eq=False)
class AssignmentSubscription:
    """Selects job_assigned for its assignee, without a subscription, as far as their grants allow (design.md)."""

    viewer: Viewer
    after: int

    def selects(self, event: CommittedEvent) -> bool:
        if event.type is not EventType.JOB_ASSIGNED or event.offset <= self.after:
            return False
        return self.viewer.user_id in event.audience and self.viewer.may_read(event.topic)


@dataclass(frozen=True, slots=True)
class ReplaySelector:
    """Selects events of a replay up to `until`: those that `resumed` selects and `already_served` does not."""

    until: int
    resumed: tuple[EventSelector, ...]
    already_served: tuple[EventSelector, ...]

    def selects(self, event: CommittedEvent) -> bool:
        if any(selector.selects(event) for selector in self.already_served):
            return False
        return any(selector.selects(event) for selector in self.resumed)


def any_selects(selectors: Iterable[EventSelector], event: CommittedEvent) -> bool:
    return any(selector.selects(event) for selector in selectors)
