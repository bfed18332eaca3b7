"""Router of events to dashboards: one index over the effective filters of all subscriptions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.domain.access.subscriptions import Acceptance
from bridge.domain.access.topic_layout import EVENTS
from bridge.domain.filter_index import FilterIndex
from bridge.domain.records import CommittedEvent
from bridge.protocol.active_subscriptions import ActiveSubscription, AssignmentSubscription

MAX_ROUTES: Final = 20_000  # cached; subjects come and go, so a plant's topics have no end


class Recipient(Protocol):
    """Delivery to one dashboard."""

    def offer(self, event: CommittedEvent) -> None:
        """Take an event that the dashboard selects; never waits."""


@dataclass(frozen=True, slots=True, eq=False)
class RouterEntry:
    """A subscription in the index, what decides beside its filters, and the recipient of what it selects."""

    subscription: ActiveSubscription
    acceptance: Acceptance
    recipient: Recipient


class Router:
    """Finds the recipients of events. A topic's first event costs a walk of its depth, later ones one look-up."""

    def __init__(self) -> None:
        self._index: FilterIndex[RouterEntry] = FilterIndex()
        self._entries: dict[ActiveSubscription, RouterEntry] = {}
        self._assignees: dict[str, dict[Recipient, AssignmentSubscription]] = {}
        self._routes: dict[tuple[str, tuple[str, ...]], tuple[RouterEntry, ...]] = {}

    def add(self, subscription: ActiveSubscription, recipient: Recipient) -> None:
        """Add a subscription; one of which nothing is granted selects nothing."""
        granted = subscription.subscription
        if granted is None:
            return
        entry = self._entries.setdefault(subscription, RouterEntry(subscription, granted.acceptance, recipient))
        for topic_filter in granted.effective:
            self._index.add(topic_filter, entry, mask=granted.acceptance.mask)
        self._routes.clear()

    def remove(self, subscription: ActiveSubscription) -> None:
        """Remove a subscription, which must still have the filters with which it was added."""
        entry = self._entries.pop(subscription, None)
        if entry is None:
            return
        for topic_filter in subscription.effective:
            self._index.discard(topic_filter, entry)
        self._routes.clear()

    def __len__(self) -> int:
        """Return the number of pairs of filter and subscription, and of dashboards that get their assignments."""
        return len(self._index) + sum(map(len, self._assignees.values()))

    @property
    def cached_routes(self) -> int:
        """Return the number of topics and audiences whose recipients are cached; at most `MAX_ROUTES`."""
        return len(self._routes)

    def add_assignee(self, assignments: AssignmentSubscription, recipient: Recipient) -> None:
        self._assignees.setdefault(assignments.viewer.user_id, {})[recipient] = assignments

    def remove_assignee(self, user_id: str, recipient: Recipient) -> None:
        recipients = self._assignees.get(user_id, {})
        recipients.pop(recipient, None)
        if not recipients:
            self._assignees.pop(user_id, None)

    def recipients(self, event: CommittedEvent) -> Iterable[Recipient]:
        """Return all recipients of the event, each once."""
        recipients = {entry.recipient: None for entry in self._route(event) if event.offset > entry.subscription.after}
        for user in event.assignees:
            for recipient, assignments in self._assignees.get(user, {}).items():
                if assignments.selects(event):
                    recipients[recipient] = None
        return recipients

    def _route(self, event: CommittedEvent) -> tuple[RouterEntry, ...]:
        key = (event.topic.text, event.audience)
        route = self._routes.get(key)
        if route is None:
            entries = self._index.match_masked(event.topic, EVENTS.word_mask(event.topic))
            route = tuple(entry for entry in entries if entry.acceptance.is_for(event.audience))
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[key] = route
        return route
