"""Subscriptions and assignments of one dashboard, and during a replay, the selection of what is new to it."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.records import CommittedEvent
from bridge.protocol.active_subscription import (
    ActiveSubscription,
    AssignmentSubscription,
    EventSelector,
    ReplaySelector,
    any_selects,
)

NO_OFFSET_YET: Final = 2**63 - 1  # `after` of a subscription whose snapshot or replay has not begun: selects nothing


class SubscriptionSet:
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
        following = ActiveSubscription(subscription.request.id, subscription, after)
        self.by_id[following.id] = following
        return following

    def granted(self) -> Iterator[Subscription]:
        """Iterate over the subscriptions of which anything is granted now."""
        return (active.subscription for active in self.by_id.values() if active.subscription is not None)

    def selects(self, event: CommittedEvent) -> bool:
        return any_selects(self, event)

    def selects_replayed(self, event: CommittedEvent) -> bool:
        """Return whether an event read from the journal is to be delivered: selected, and not delivered before."""
        if self._replay is not None and event.offset <= self._replay.until:
            return self._replay.selects(event)
        return self.selects(event)

    def rewind(self, since: int, subscriptions: Sequence[ActiveSubscription], *, delivered_up_to: int) -> None:
        """Make these subscriptions and the assignments select what came after `since`.

        All others were served up to `delivered_up_to`.
        """
        resumed = [subscription for subscription in subscriptions if subscription in self]
        fresh: list[EventSelector] = list(resumed)
        # Copies: what they were served stays served, even if one of them ends or changes during the replay.
        settled = [copy(selector) for selector in self if selector not in fresh]
        for subscription in resumed:
            subscription.after = since
        if self.assignments and since < self.assignments[0].after:
            missed = AssignmentSubscription(self.assignments[0].viewer, since)
            self.assignments[1:] = [missed]
            fresh.append(missed)
        if since < delivered_up_to:
            self._replay = ReplaySelector(until=delivered_up_to, resumed=tuple(fresh), already_served=tuple(settled))

    def end_replay(self) -> None:
        self._replay = None
