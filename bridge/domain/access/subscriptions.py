"""Admission of subscriptions: the granted part of a request. Source: design.md, «Subscriptions are filters»."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, assert_never
from weakref import WeakValueDictionary

from bridge.domain.access.grants import Allowed, Grants, NotGranted, decide_union_in_steps
from bridge.domain.access.subscription_request import SubscriptionRequest
from bridge.domain.access.subscription_types import Addressee
from bridge.domain.access.topic_layout import EVENTS, RegionTable
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent
from bridge.domain.steps import STEP_ITEMS, Steps, complete
from bridge.domain.topics import TopicFilter, TopicName


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Decision on events whose topic matches a filter of a subscription: by the words of the topic and the audience."""

    mask: int  # event types and priorities, in the layout `EVENTS`
    addressees: frozenset[str] | None  # one of them must be in the audience; None: the audience does not matter

    def accepts(self, word_mask: int, *, audience: tuple[str, ...]) -> bool:
        """Return whether an event is for the subscription; `word_mask` is that of its topic."""
        return bool(self.mask & word_mask) and self.is_for(audience)

    def is_for(self, audience: tuple[str, ...]) -> bool:
        """Return whether the audience of an event is the subscription's."""
        return self.addressees is None or not self.addressees.isdisjoint(audience)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Subscription:
    """An admitted subscription. A topic matches iff it was requested, is within the mask and is granted."""

    request: SubscriptionRequest
    allowed: Allowed
    acceptance: Acceptance
    table: RegionTable[None] = field(repr=False, compare=False)

    @property
    def effective(self) -> tuple[TopicFilter, ...]:
        return self.allowed.effective

    @property
    def narrowed(self) -> bool:
        return self.allowed.narrowed

    @property
    def cache_key(self) -> Hashable:
        """Return a key that is equal for subscriptions that match the same events, of whatever viewer and request."""
        return frozenset(self.effective), self.acceptance

    def admits(self, event: CommittedEvent) -> bool:
        """Return whether an event is for this subscription: the decision of every path on which events are read."""
        return self.matches(event.topic, audience=event.audience)

    def matches(self, name: TopicName, *, audience: tuple[str, ...] = ()) -> bool:
        """Return whether an event of this topic and audience is for this subscription."""
        point = EVENTS.locate(name)
        if point is None:
            return False
        ids, mask = point
        is_covered = any(covering_mask & mask for covering_mask, _ in self.table.covering(ids))
        return is_covered and self.acceptance.accepts(mask, audience=audience)

    def lost_to(self, other: "Subscription | None") -> Steps[tuple[TopicFilter, ...]]:
        """Return the filters of which another admission of the same request, or None, does not match everything.

        They are all filters if it is for other addressees.
        """
        if other is None or other.acceptance.addressees != self.acceptance.addressees:
            return self.effective
        lost = []
        for number, topic_filter in enumerate(self.effective, start=1):
            region = EVENTS.region(topic_filter, mask=self.acceptance.mask)
            if region is not None and other.table.missing(region):
                lost.append(topic_filter)
            if number % STEP_ITEMS == 0:
                yield
        return tuple(lost)

    def limited_to(self, names: frozenset[str]) -> "Subscription":
        """Return the subscription without the addressees that are none of these."""
        addressees = self.acceptance.addressees
        if addressees is None or addressees <= names:
            return self
        return replace(self, acceptance=Acceptance(self.acceptance.mask, addressees & names))


class _AdmissionKey(NamedTuple):
    """All that an admission depends on: equal keys have equal results."""

    request: SubscriptionRequest
    grants: Grants
    addressees: frozenset[str] | None


_ADMITTED: Final = WeakValueDictionary[_AdmissionKey, Subscription]()  # an entry lives as long as a subscription


def admit_subscription(request: SubscriptionRequest, viewer: Viewer) -> Subscription | NotGranted:
    """Return the part of a request that this viewer may read; for equal requests and grants the same object.

    It is refused if that is nothing, if it is strict and not granted in full, or where `decide_union` refuses it.
    """
    return complete(admit_in_steps(request, viewer))


def admit_in_steps(request: SubscriptionRequest, viewer: Viewer) -> Steps[Subscription | NotGranted]:
    """Admit as `admit_subscription` does: each of the targets is compared with each of the grants."""
    key = _AdmissionKey(request, viewer.read_grants, _addressees(request, viewer))
    admitted = _ADMITTED.get(key)
    if admitted is None:
        decision = yield from _decide(key)
        if isinstance(decision, NotGranted):
            return decision
        admitted = _ADMITTED.setdefault(key, decision)  # another may have been quicker
    return admitted


def _decide(key: _AdmissionKey) -> Steps[Subscription | NotGranted]:
    request = key.request
    decision = yield from decide_union_in_steps(request.filters, key.grants, mask=request.mask)
    if isinstance(decision, NotGranted):
        return decision
    if request.strict and decision.narrowed:
        return NotGranted(decision.witness, "it is strict, and not all of it is granted")
    table: RegionTable[None] = RegionTable()
    for number, topic_filter in enumerate(decision.effective, start=1):
        region = EVENTS.region(topic_filter, mask=request.mask)
        assert region is not None, "nothing that is granted is empty"
        table.add(region, None)
        if number % STEP_ITEMS == 0:
            yield
    return Subscription(
        request=request, allowed=decision, acceptance=Acceptance(request.mask, key.addressees), table=table
    )


def _addressees(request: SubscriptionRequest, viewer: Viewer) -> frozenset[str] | None:
    match request.addressee:
        case None:
            return None
        case Addressee.USER:
            return frozenset({viewer.user_id})
        case Addressee.ROLE:
            return frozenset(viewer.roles)
        case _:
            assert_never(request.addressee)
