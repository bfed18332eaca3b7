"""Parsing and admission of subscriptions. Source: design.md, «Subscriptions are filters»."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from msgspec import UNSET

from bridge.domain.access.grants import Allowed, Grant, NotGranted, decide
from bridge.domain.access.subscription_body import EventMasks, SubscriptionBody, parse_body, parse_id
from bridge.domain.access.subscription_types import (
    TARGET_ALL,
    TARGET_ME,
    Addressee,
    SubscriptionError,
    SubscriptionErrorCode,
    SubscriptionType,
    target_filter,
)
from bridge.domain.access.topic_layout import EVENTS, RegionTable, event_mask, remove_covered
from bridge.domain.access.viewer import Viewer
from bridge.domain.events import EventType, Priority
from bridge.domain.topics import TopicError, TopicFilter, TopicName

MAX_EFFECTIVE: Final = (
    1_000  # filters of one admitted subscription; stops 100 targets x 1,000 grants from filling index and reply
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRequest:
    """A client's request. `filters` are relative to `{root}/event/`; `addressee` must be in an event's audience."""

    id: str
    subscription_type: SubscriptionType | None  # None: only a raw filter
    target_id: str | tuple[str, ...] | None  # as sent; None: omitted, meaning all
    filters: tuple[TopicFilter, ...]
    event_types: frozenset[EventType] | None = None
    priorities: frozenset[Priority] | None = None
    addressee: Addressee | None = None
    strict: bool = False
    snapshot: bool = True
    raw_filter: TopicFilter | None = None

    @property
    def mask(self) -> int:
        """Event types and priorities as a mask of the layout `EVENTS`."""
        return event_mask(self.event_types, self.priorities)


@dataclass(frozen=True, slots=True)
class Subscription:
    """An admitted subscription. A topic matches iff it was requested, is within the mask and is granted."""

    request: SubscriptionRequest
    effective: tuple[TopicFilter, ...]
    narrowed: bool
    witness: TopicName | None
    grants: tuple[Grant, ...]
    user_id: str
    roles: frozenset[str]
    _table: RegionTable[None] = field(repr=False, compare=False)

    @property
    def cache_key(self) -> Hashable:
        """Key that is equal for subscriptions that match the same events, whatever the viewer and the request."""
        return frozenset(self.effective), self.request.mask, self._addressees

    def matches(self, name: TopicName, *, audience: tuple[str, ...] = ()) -> bool:
        """Return whether an event is for this subscription; its topic contains type and priority."""
        point = EVENTS.locate(name)
        if point is None:
            return False
        ids, way = point
        if not any(ways & way for ways, _ in self._table.covering(ids)):
            return False
        return self._addressees is None or not self._addressees.isdisjoint(audience)

    @property
    def _addressees(self) -> frozenset[str] | None:
        """Names of this user of which one must be in an event's audience; None: the audience does not matter."""
        match self.request.addressee:
            case None:
                return None
            case Addressee.USER:
                return frozenset({self.user_id})
            case Addressee.ROLE:
                return self.roles
            case _:
                assert_never(self.request.addressee)


def parse_subscription(body: Mapping[str, object]) -> SubscriptionRequest:
    """Return the request in a decoded subscribe body; raise SubscriptionError. Unknown fields are ignored."""
    fields = parse_body(body)
    kind, target = fields.subscription_type, _target(fields)
    raw = _parse_raw_filter(fields.mqtt_filter)
    texts = (target,) if isinstance(target, str) else target and tuple(dict.fromkeys(target))
    addressee = kind.me if kind is not None and TARGET_ME in (texts or ()) else None
    if addressee is not None and texts is not None and len(texts) > 1:
        raise _invalid("the target me stands alone; ask for the others beside it")
    masks = fields.filters or EventMasks()
    return SubscriptionRequest(
        id=fields.id or _default_id(kind, texts, raw),
        subscription_type=kind,
        target_id=target,
        filters=_filters(kind, texts, raw),
        event_types=None if masks.event_types is None else frozenset(masks.event_types),
        priorities=None if masks.priorities is None else frozenset(masks.priorities),
        addressee=addressee,
        strict=fields.strict is True,
        snapshot=fields.snapshot is not False,
        raw_filter=raw,
    )


def parse_unsubscription(body: Mapping[str, object]) -> str | SubscriptionRequest:
    """Return what an unsubscribe body ends: the subscription of an id, or without one all with `is_same_selection`."""
    return parse_id(body) or parse_subscription(body)


def is_same_selection(one: SubscriptionRequest, other: SubscriptionRequest) -> bool:
    """Return whether two requests have the same type and targets, however written; ids and masks may differ."""
    return (one.subscription_type, one.addressee, set(one.filters)) == (
        other.subscription_type,
        other.addressee,
        set(other.filters),
    )


def admit_subscription(request: SubscriptionRequest, viewer: Viewer) -> Subscription | NotGranted:
    """Admit what this viewer may read of a request.

    Refuse it if that is nothing, if a strict request is not granted in full, or over `MAX_EFFECTIVE` filters.
    """
    effective: dict[TopicFilter, None] = {}
    grants: dict[Grant, None] = {}
    refusal: NotGranted | None = None
    witness: TopicName | None = None
    ways = request.mask
    for topic_filter in request.filters:
        match decide(topic_filter, viewer.read_grants, mask=ways):
            case NotGranted() as refused:
                refusal = refusal or refused
            case Allowed() as allowed:
                effective.update(dict.fromkeys(allowed.effective))
                grants.update(dict.fromkeys(allowed.grants))
                witness = witness or allowed.witness
        if len(effective) > MAX_EFFECTIVE:
            return NotGranted(None, f"the grants cut it into more than {MAX_EFFECTIVE} filters: ask for less at once")
    if not effective and refusal is not None:
        return refusal
    missing = refusal.witness if refusal is not None else witness
    if request.strict and (refusal is not None or witness is not None):
        return NotGranted(
            missing, refusal.reason if refusal is not None else "it is strict, and not all of it is granted"
        )
    regions = {EVENTS.region(topic_filter, mask=ways): topic_filter for topic_filter in effective}
    kept = remove_covered(region for region in regions if region is not None)
    return Subscription(
        request=request,
        effective=tuple(regions[region] for region in kept),
        narrowed=refusal is not None or witness is not None,
        witness=missing,
        grants=tuple(grants),
        user_id=viewer.user_id,
        roles=frozenset(viewer.roles),
        _table=RegionTable((region, None) for region in kept),
    )


def _filters(
    kind: SubscriptionType | None, targets: tuple[str, ...] | None, raw: TopicFilter | None
) -> tuple[TopicFilter, ...]:
    """Return the filters of the targets, narrowed by a raw filter; raise SubscriptionError when nothing is left."""
    if kind is None:
        if raw is None:
            raise _invalid("subscription_type is missing")
        if targets is not None:
            raise _invalid("a target needs a subscription_type")
        return (raw,)
    filters = dict.fromkeys(target_filter(kind, target) for target in targets or (TARGET_ALL,))
    if raw is None:
        return tuple(filters)
    common = tuple(dict.fromkeys(filter(None, (topic_filter.intersect(raw) for topic_filter in filters))))
    if not common:
        raise _invalid("mqtt_filter and target have no topic in common")
    return common


def _parse_raw_filter(text: str | None) -> TopicFilter | None:
    try:
        return None if text is None else TopicFilter.parse(text)
    except TopicError as error:
        raise _invalid(f"mqtt_filter: {error}") from error


def _target(fields: SubscriptionBody) -> str | tuple[str, ...] | None:
    """Return the target as sent; None when neither field is present."""
    sent = [value for value in (fields.target_id, fields.target) if value is not UNSET]
    if not sent:
        return None
    if sent[0] != sent[-1]:
        raise _invalid("target_id and target differ")
    return tuple(sent[0]) if isinstance(sent[0], list) else sent[0]


def _invalid(message: str) -> SubscriptionError:
    return SubscriptionError(SubscriptionErrorCode.INVALID_MESSAGE, message)


def _default_id(kind: SubscriptionType | None, texts: tuple[str, ...] | None, raw: TopicFilter | None) -> str:
    """Return an id that depends on type, targets and raw filter only, so that a client can unsubscribe by them."""
    parts = [] if kind is None else [f"{kind.value}:{','.join(sorted(set(texts or (TARGET_ALL,))))}"]
    return " ".join(parts if raw is None else [*parts, f"mqtt_filter:{raw}"])
