"""Active subscriptions of one dashboard, each from an offset on, and the implicit one to the viewer's job assignments.

A dashboard gets an event once, however many of its subscriptions match. It gets no event that its snapshot or its own
last position already covers.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent
from bridge.domain.topics import TopicFilter

NO_OFFSET_YET: Final = 2**63 - 1  # `after` of a subscription whose snapshot or replay has not begun: selects nothing


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
        is_new = event.offset > self.after
        return is_new and self.viewer.user_id in event.assignees and self.viewer.may_read(event.topic)


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


class SubscriptionSet:
    """All subscriptions of one dashboard. Iterating yields them, then those to its job assignments."""

    def __init__(self) -> None:
        self.by_id: dict[str, ActiveSubscription] = {}
        self.assignments: list[AssignmentSubscription] = []
        self._replay: ReplaySelector | None = None

    def __contains__(self, subscription: ActiveSubscription) -> bool:
        """Return whether it is in force: neither ended nor replaced by one with the same id."""
        return self.by_id.get(subscription.id) is subscription

    def __iter__(self) -> Iterator[EventSelector]:
        yield from self.by_id.values()
        yield from self.assignments

    def add(self, subscription: Subscription, *, after: int) -> ActiveSubscription:
        active = ActiveSubscription(subscription.request.id, subscription, after)
        self.by_id[active.id] = active
        return active

    def granted(self) -> Iterator[Subscription]:
        """Iterate over the subscriptions of which anything is granted now."""
        return (active.subscription for active in self.by_id.values() if active.subscription is not None)

    def selects(self, event: CommittedEvent) -> bool:
        return any(selector.selects(event) for selector in self)

    def selects_replayed(self, event: CommittedEvent) -> bool:
        """Return whether an event read from the journal is to be delivered: selected, and not delivered before."""
        if self._replay is not None and event.offset <= self._replay.until:
            return self._replay.selects(event)
        return self.selects(event)

    def rewind(self, since: int, subscriptions: Sequence[ActiveSubscription], *, delivered_up_to: int) -> None:
        """Let these subscriptions and the assignments select again all that came after `since`.

        All others were served up to `delivered_up_to`.
        """
        resumed: list[EventSelector] = [subscription for subscription in subscriptions if subscription in self]
        # Copies: what they were served stays served, even if one of them ends or changes during the replay.
        served = [copy(selector) for selector in self if selector not in resumed]
        for selector in resumed:
            selector.after = since
        if self.assignments and since < self.assignments[0].after:
            missed = AssignmentSubscription(self.assignments[0].viewer, since)
            self.assignments[1:] = [missed]
            resumed.append(missed)
        if since < delivered_up_to:
            self._replay = ReplaySelector(until=delivered_up_to, resumed=tuple(resumed), already_served=tuple(served))

    def end_replay(self) -> None:
        self._replay = None
