"""All subscriptions of one dashboard, each from an offset on: the one table that decides which events it gets.

A dashboard gets an event once, however many of its subscriptions match. It gets no event that its snapshot or its own
last position already covers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.domain.access.subscription_request import SubscriptionRequest
from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent

# Intervals under the present grants, and as many under former ones, each of which may keep an admission of some 2 KB;
# or, if that is more, one for each subscription. Beyond that a client that goes back gets some events twice.
MAX_PAST: Final = 64
NO_OFFSET_YET: Final = 2**63 - 1  # `after` of a subscription whose snapshot or replay has not begun: selects nothing


@dataclass(slots=True, eq=False)
class ActiveSubscription:
    """A subscription in force, which selects the events after an offset.

    `granted` is None while nothing of it is granted; a later token may change that. `owes_snapshot`: one was promised.
    """

    request: SubscriptionRequest
    granted: Subscription | None
    after: int
    owes_snapshot: bool = False

    @property
    def id(self) -> str:
        return self.request.id

    def matches(self, event: CommittedEvent) -> bool:
        """Return whether the event is subscribed to and granted now, whatever its offset."""
        return self.granted is not None and self.granted.matches(event.topic, audience=event.audience)

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
class Interval:
    """What one subscription, or the assignments (`id` None), selected of the offsets after `after` up to `until`."""

    id: str | None
    selector: ActiveSubscription | AssignmentSubscription
    until: int

    @classmethod
    def of(cls, selector: ActiveSubscription | AssignmentSubscription, *, until: int) -> "Interval":
        """Copy the selector as it is now: what it selected stays so, even if it ends or changes."""
        if isinstance(selector, ActiveSubscription):
            copied = ActiveSubscription(selector.request, selector.granted, selector.after)
            return cls(selector.id, copied, until)
        return cls(None, AssignmentSubscription(selector.viewer, selector.after), until)

    def selects(self, event: CommittedEvent) -> bool:
        return event.offset <= self.until and self.selector.selects(event)


class SubscriptionTable:
    """The subscriptions of one dashboard, and what of the past a replay must add or leave out.

    `replaced`: subscriptions that another with the same id replaced while their last events were still to be sent.
    `past`: what was sent up to the `after` of those in force, by the grants of that time.
    `served`: what of it a resume has gone back behind, and must not be sent again.
    """

    __slots__ = ("assignments", "by_id", "past", "replaced", "served")

    def __init__(self) -> None:
        self.by_id: dict[str, ActiveSubscription] = {}
        self.assignments: AssignmentSubscription | None = None
        self.replaced: list[Interval] = []
        self.served: list[Interval] = []
        self.past: list[Interval] = []

    def __contains__(self, subscription: ActiveSubscription) -> bool:
        """Return whether it is in force: neither ended nor replaced by one with the same id."""
        return self.by_id.get(subscription.id) is subscription

    def add(self, subscription: Subscription, *, after: int, cursor: int, offset: int) -> ActiveSubscription:
        """Add a subscription; one that it replaces selects until `offset` what is not sent yet, after `cursor`."""
        name = subscription.request.id
        former = self.by_id.get(name)
        if former is not None:
            if former.granted is not None and former.after < offset and cursor < offset:
                self.replaced.append(Interval.of(former, until=offset))
            former.granted = None
            self._forget_past({name})
        owes_snapshot = former is not None and former.owes_snapshot and after == NO_OFFSET_YET
        added = self.by_id[name] = ActiveSubscription(subscription.request, subscription, after, owes_snapshot)
        return added

    def end(self, name: str) -> None:
        """End a subscription: what is not sent yet is not sent any more."""
        former = self.by_id.pop(name, None)
        if former is not None:
            former.granted = None
            self._forget_past({name})
        self._forget_replaced({name})

    def update_grants(self, viewer: Viewer, subscriptions: Mapping[str, Subscription | None], *, cursor: int) -> None:
        """Put new grants into force at once, also for what is not sent yet, after `cursor`."""
        if self.assignments is not None:
            if self.assignments.viewer.read_grants != viewer.read_grants:
                self._pass(self.assignments, cursor)
            self.assignments.viewer = viewer
        for name, granted in subscriptions.items():
            subscription = self.by_id[name]
            if not match_the_same(subscription.granted, granted):
                self._pass(subscription, cursor)
            subscription.granted = granted
        self._bound_past()

    def granted(self) -> Iterator[Subscription]:
        """Iterate over all that may select events now, but the assignments."""
        for subscription in self.by_id.values():
            if subscription.granted is not None:
                yield subscription.granted
        for interval in self.replaced:
            if isinstance(interval.selector, ActiveSubscription) and interval.selector.granted is not None:
                yield interval.selector.granted

    def selects(self, event: CommittedEvent) -> bool:
        """Return whether the event is to be sent: selected, granted, and not sent before."""
        if self.served and any(interval.selects(event) for interval in self.served):
            return False
        if any(subscription.selects(event) for subscription in self.by_id.values()):
            return True
        if event.assignees and self.assignments is not None and self.assignments.selects(event):
            return True
        return bool(self.replaced) and self._may_read(event) and any(past.selects(event) for past in self.replaced)

    def resume(self, subscriptions: Sequence[ActiveSubscription], *, since: int, cursor: int) -> None:
        """Let these, and the assignments, select what came after `since`; all others were served up to `cursor`."""
        resumed = {subscription.id for subscription in subscriptions}
        self._forget_past(resumed)
        self._forget_replaced(resumed)
        for interval in self.replaced:
            interval.selector.after = max(interval.selector.after, cursor)
        for subscription in self.by_id.values():
            if subscription.id not in resumed:
                self._pass(subscription, cursor)
        for subscription in subscriptions:
            if subscription in self:
                subscription.after = since
        if self.assignments is not None:
            after = self.assignments.after
            self._pass(self.assignments, cursor)
            self.assignments.after = min(after, since)
        self._bound_past()
        self.served = [interval for interval in self.past if interval.until > min(since, cursor)]

    def forget(self, cursor: int) -> None:
        """Drop what concerns only offsets up to this one."""
        if self.served:
            self.served = [interval for interval in self.served if interval.until > cursor]
        if self.replaced:
            self.replaced = [interval for interval in self.replaced if interval.until > cursor]

    def drop_replaced(self, subscriptions: Sequence[ActiveSubscription]) -> None:
        """Drop what is not sent of the subscriptions that these replaced."""
        self._forget_replaced({subscription.id for subscription in subscriptions})

    def is_settled(self, offset: int) -> bool:
        """Return whether every subscription selects exactly what its filters match, after all events up to this offset.

        That includes the last events of those that were replaced: `forget` has dropped them.
        """
        return (
            not self.served
            and all(subscription.after <= offset for subscription in self.by_id.values())
            and (self.assignments is None or self.assignments.after <= offset)
        )

    def _may_read(self, event: CommittedEvent) -> bool:
        return self.assignments is not None and self.assignments.viewer.may_read(event.topic)

    def _forget_replaced(self, names: set[str]) -> None:
        if self.replaced:
            self.replaced = [interval for interval in self.replaced if interval.id not in names]

    def _forget_past(self, names: set[str]) -> None:
        if self.past:
            self.past = [interval for interval in self.past if interval.id not in names]

    def _pass(self, selector: ActiveSubscription | AssignmentSubscription, cursor: int) -> None:
        """Record what was sent of a subscription, which from now on selects only what comes after the cursor."""
        if selector.after >= cursor:
            return
        added = Interval.of(selector, until=cursor)
        for index, former in enumerate(self.past):
            if _is_continued(former, added):
                self.past[index] = Interval.of(former.selector, until=cursor)
                break
        else:
            self.past.append(added)
        selector.after = cursor

    def _bound_past(self) -> None:
        """Keep the latest of what was sent: those under former grants do not push out those under the present ones."""
        most = max(MAX_PAST, len(self.by_id) + 1)  # one for the assignments
        if len(self.past) > most:
            former: list[Interval] = []
            present: list[Interval] = []
            for interval in self.past:
                (present if self._is_present(interval) else former).append(interval)
            self.past = former[-most:] + present[-most:]

    def _is_present(self, interval: Interval) -> bool:
        here = self.assignments if interval.id is None else self.by_id.get(interval.id)
        return here is not None and _select_alike(interval.selector, here)


def _is_continued(former: Interval, added: Interval) -> bool:
    """Return whether one interval includes both: a client may go back any number of times."""
    if former.id != added.id or not former.selector.after <= added.selector.after <= former.until <= added.until:
        return False
    return _select_alike(former.selector, added.selector)


def _select_alike(
    former: ActiveSubscription | AssignmentSubscription, latter: ActiveSubscription | AssignmentSubscription
) -> bool:
    """Return whether both match the same events, whatever their offsets."""
    if isinstance(former, ActiveSubscription):
        return isinstance(latter, ActiveSubscription) and match_the_same(former.granted, latter.granted)
    return isinstance(latter, AssignmentSubscription) and former.viewer.read_grants == latter.viewer.read_grants


def match_the_same(former: Subscription | None, latter: Subscription | None) -> bool:
    """Return whether both match the same events; None matches nothing."""
    if former is latter or former is None or latter is None:
        return former is latter
    return former.cache_key == latter.cache_key
