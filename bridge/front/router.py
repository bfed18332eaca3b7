"""Router of events to dashboards: one index over the effective filters of all subscriptions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.domain.events import EventType
from bridge.domain.filter_index import FilterIndex
from bridge.domain.records import CommittedEvent
from bridge.domain.topics import TopicName
from bridge.front.event_cache import parse_topic
from bridge.protocol.active_subscription import ActiveSubscription, AssignmentSubscription

MAX_ROUTES: Final = 20_000  # topics kept; subjects come and go, so a plant's topics have no end


class Recipient(Protocol):
    """Delivery to one dashboard."""

    def offer(self, event: CommittedEvent) -> None:
        """Take an event that the dashboard selects; never waits."""


@dataclass(frozen=True, slots=True, eq=False)
class RouterEntry:
    subscription: ActiveSubscription
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class Route:
    name: TopicName
    entries: tuple[RouterEntry, ...]


class Router:
    """Finds the recipients of events. A topic's first event costs a walk of its depth, later ones one look-up."""

    def __init__(self) -> None:
        self._index: FilterIndex[RouterEntry] = FilterIndex()
        self._entries: dict[ActiveSubscription, RouterEntry] = {}
        self._assignees: dict[str, dict[Recipient, AssignmentSubscription]] = {}
        self._routes: dict[tuple[str, tuple[str, ...]], Route] = {}

    def add(self, subscription: ActiveSubscription, recipient: Recipient) -> None:
        entry = self._entries.setdefault(subscription, RouterEntry(subscription, recipient))
        for each in subscription.effective:
            self._index.add(each, entry)
        self._routes.clear()

    def remove(self, subscription: ActiveSubscription) -> None:
        """Remove a subscription, which must still have the filters with which it was added."""
        entry = self._entries.pop(subscription, None)
        if entry is None:
            return
        for each in subscription.effective:
            self._index.discard(each, entry)
        self._routes.clear()

    def __len__(self) -> int:
        """Return the number of pairs of filter and subscription, and of dashboards that get their assignments."""
        return len(self._index) + sum(map(len, self._assignees.values()))

    def add_assignee(self, assignments: AssignmentSubscription, recipient: Recipient) -> None:
        self._assignees.setdefault(assignments.viewer.user_id, {})[recipient] = assignments

    def remove_assignee(self, user_id: str, recipient: Recipient) -> None:
        recipients = self._assignees.get(user_id, {})
        recipients.pop(recipient, None)
        if not recipients:
            self._assignees.pop(user_id, None)

    def recipients(self, event: CommittedEvent) -> Iterable[Recipient]:
        """Return all recipients of the event, each once."""
        route = self._route(event)
        found = {entry.recipient: None for entry in route.entries if event.offset > entry.subscription.after}
        if event.type is EventType.JOB_ASSIGNED:
            for user in event.audience:
                for recipient, assignments in self._assignees.get(user, {}).items():
                    if assignments.selects(event, route.name):
                        found[recipient] = None
        return found

    def _route(self, event: CommittedEvent) -> Route:
        key = (event.topic, event.audience)
        route = self._routes.get(key)
        if route is None:
            name = parse_topic(event.topic)
            matched = self._index.match(name)
            entries = (each for each in matched if each.subscription.matches(event, name))
            route = Route(name, tuple(entries))
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[key] = route
        return route
