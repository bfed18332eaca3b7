"""All subscriptions of one dashboard, each from an offset on: the one table that decides which events it gets.

A dashboard gets an event once, however many of its subscriptions match. It gets no event that its snapshot or its own
last position already covers.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent
from bridge.protocol.event_selectors import (
    ActiveSubscription,
    AssignmentSubscription,
    Interval,
    SelectorIndex,
    match_the_same,
    select_alike,
)

# Intervals under the present grants, and as many under former ones, each of which may keep an admission of some 2 KB;
# or, if that is more, one for each subscription. Beyond that a client that goes back gets some events twice.
MAX_PAST: Final = 64
FEW: Final = 4  # selectors that are asked one by one
NO_OFFSET_YET: Final = 2**63 - 1  # `after` of a subscription whose snapshot or replay has not begun: selects nothing


class SubscriptionTable:
    """The subscriptions of one dashboard, and what of the past a replay must add or leave out.

    `replaced`: subscriptions that another with the same id replaced while their last events were still to be sent.
    `past`: what was sent up to the `after` of those in force, by the grants of that time.
    `served`: what of it a resume has gone back behind, and must not be sent again.
    `counts`: of the subscriptions in force of many dashboards, by type, which this one keeps up to date until `close`.
    """

    __slots__ = (
        "_counts",
        "_index",
        "_replaced_index",
        "_served_index",
        "assignments",
        "by_id",
        "past",
        "replaced",
        "served",
    )

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self.by_id: dict[str, ActiveSubscription] = {}
        self.assignments: AssignmentSubscription | None = None
        self.replaced: list[Interval] = []
        self.served: list[Interval] = []
        self.past: dict[str | None, list[Interval]] = {}  # by id, None: the assignments; none of the lists is empty
        self._index: SelectorIndex[ActiveSubscription] | None = None  # of more than `FEW`, from their first use on
        self._served_index: SelectorIndex[Interval] | None = None
        self._replaced_index: SelectorIndex[Interval] | None = None

    def __contains__(self, subscription: ActiveSubscription) -> bool:
        """Return whether it is in force: neither ended nor replaced by one with the same id."""
        return self.by_id.get(subscription.id) is subscription

    @property
    def has_few(self) -> bool:
        """Return whether the subscriptions, and those that were replaced, are few enough to ask one by one."""
        return len(self.by_id) + len(self.replaced) <= FEW

    def add(self, subscription: Subscription, *, after: int, cursor: int, offset: int) -> ActiveSubscription:
        """Add a subscription; one that it replaces selects until `offset` what is not sent yet, after `cursor`."""
        self._index = None
        name = subscription.request.id
        former = self.by_id.get(name)
        if former is not None:
            if former.granted is not None and former.after < offset and cursor < offset:
                self._keep_replaced([*self.replaced, Interval.of(former, until=offset)])
            former.granted = None
            self.past.pop(name, None)
            self._count(former, -1)
        owes_snapshot = former is not None and former.owes_snapshot and after == NO_OFFSET_YET
        added = self.by_id[name] = ActiveSubscription(subscription.request, subscription, after, owes_snapshot)
        self._count(added, 1)
        return added

    def end(self, name: str) -> None:
        """End a subscription: what is not sent yet is not sent any more."""
        self._index = None
        former = self.by_id.pop(name, None)
        if former is not None:
            self._count(former, -1)
            former.granted = None
            self.past.pop(name, None)
        self._forget_replaced({name})

    def close(self) -> None:
        """Count the subscriptions no longer: the dashboard has disconnected."""
        for subscription in self.by_id.values():
            self._count(subscription, -1)
        self._counts = Counter()  # no longer shared

    def update_grants(self, viewer: Viewer, subscriptions: Mapping[str, Subscription | None], *, cursor: int) -> None:
        """Put new grants into force at once, also for what is not sent yet, after `cursor`."""
        self._index = None
        if self.assignments is not None:
            if self.assignments.viewer.read_grants != viewer.read_grants:
                self._pass(self.assignments, cursor)
            self.assignments.viewer = viewer
        for name, granted in subscriptions.items():
            subscription = self.by_id[name]
            if not match_the_same(subscription.granted, granted):
                self._pass(subscription, cursor)
            subscription.granted = granted
        names = frozenset({viewer.user_id, *viewer.roles})
        for interval in self.replaced:
            if isinstance(interval.selector, ActiveSubscription) and interval.selector.granted is not None:
                interval.selector.granted = interval.selector.granted.limited_to(names)
        self._replaced_index = None
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
        if self.served and any(interval.selects(event) for interval in self._served_candidates(event)):
            return False
        if any(subscription.selects(event) for subscription in self._candidates(event)):
            return True
        if event.assignees and self.assignments is not None and self.assignments.selects(event):
            return True
        if not self.replaced or not self._may_read(event):
            return False
        return any(interval.selects(event) for interval in self._replaced_candidates(event))

    def may_select(self, event: CommittedEvent) -> bool:
        """Return whether the event matches, whatever of it was sent."""
        return (
            bool(event.assignees)
            or any(subscription.matches(event) for subscription in self._candidates(event))
            or any(interval.selects(event) for interval in self._replaced_candidates(event))
        )

    def drop_indexes(self) -> None:
        """Free the memory of the indexes, which are built again when they are needed."""
        self._index = self._served_index = self._replaced_index = None

    def resume(self, subscriptions: Sequence[ActiveSubscription], *, since: int, cursor: int) -> None:
        """Let these, and the assignments, select what came after `since`; all others were served up to `cursor`."""
        resumed = {subscription.id for subscription in subscriptions}
        for name in resumed:
            self.past.pop(name, None)
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
        self.served = [interval for interval in self._all_past() if interval.until > min(since, cursor)]
        self._served_index = None

    def forget(self, cursor: int) -> None:
        """Drop what concerns only offsets up to this one."""
        if self.served:
            self.served = [interval for interval in self.served if interval.until > cursor]
            if not self.served:
                self._served_index = None
        if self.replaced:
            self._keep_replaced([interval for interval in self.replaced if interval.until > cursor])

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

    def _count(self, subscription: ActiveSubscription, change: int) -> None:
        self._counts[subscription.request.subscription_type or "filter"] += change

    def _candidates(self, event: CommittedEvent) -> Iterable[ActiveSubscription]:
        if len(self.by_id) <= FEW:
            return self.by_id.values()
        if self._index is None:
            self._index = SelectorIndex(self.by_id.values())
        return self._index.candidates(event)

    def _served_candidates(self, event: CommittedEvent) -> Iterable[Interval]:
        if len(self.served) <= FEW:
            return self.served
        if self._served_index is None:
            self._served_index = SelectorIndex(self.served)
        return self._served_index.candidates(event)

    def _replaced_candidates(self, event: CommittedEvent) -> Iterable[Interval]:
        if len(self.replaced) <= FEW:
            return self.replaced
        if self._replaced_index is None:
            self._replaced_index = SelectorIndex(self.replaced)
        return self._replaced_index.candidates(event)

    def _may_read(self, event: CommittedEvent) -> bool:
        return self.assignments is not None and self.assignments.viewer.may_read(event.topic)

    def _forget_replaced(self, names: set[str]) -> None:
        if self.replaced:
            self._keep_replaced([interval for interval in self.replaced if interval.id not in names])

    def _keep_replaced(self, intervals: list[Interval]) -> None:
        if len(intervals) != len(self.replaced):
            self.replaced, self._replaced_index = intervals, None

    def _pass(self, selector: ActiveSubscription | AssignmentSubscription, cursor: int) -> None:
        """Record what was sent of a subscription, which from now on selects only what comes after the cursor."""
        if selector.after >= cursor:
            return
        added = Interval.of(selector, until=cursor)
        sent = self.past.setdefault(added.id, [])
        for index, former in enumerate(sent):
            if _is_continued(former, added):
                sent[index] = Interval.of(former.selector, until=cursor)
                break
        else:
            sent.append(added)
        selector.after = cursor

    def _all_past(self) -> Iterator[Interval]:
        for intervals in self.past.values():
            yield from intervals

    def _bound_past(self) -> None:
        """Keep the latest of what was sent: those under former grants do not push out those under the present ones."""
        most = max(MAX_PAST, len(self.by_id) + 1)  # one for the assignments
        if sum(map(len, self.past.values())) <= most:
            return
        former: list[Interval] = []
        present: list[Interval] = []
        for interval in sorted(self._all_past(), key=attrgetter("until")):
            (present if self._is_present(interval) else former).append(interval)
        self.past = {}
        for interval in former[-most:] + present[-most:]:
            self.past.setdefault(interval.id, []).append(interval)

    def _is_present(self, interval: Interval) -> bool:
        here = self.assignments if interval.id is None else self.by_id.get(interval.id)
        return here is not None and select_alike(interval.selector, here)


def _is_continued(former: Interval, added: Interval) -> bool:
    """Return whether one interval includes both: a client may go back any number of times."""
    if former.id != added.id or not former.selector.after <= added.selector.after <= former.until <= added.until:
        return False
    return select_alike(former.selector, added.selector)
