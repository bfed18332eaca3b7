"""Parsing and admission of subscriptions. Source: design.md, «Subscriptions are filters»."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar, assert_never

from bridge.domain.access.grants import Allowed, Grant, NotGranted, decide
from bridge.domain.access.subscription_types import (
    MAX_QUOTED_CHARS,
    TARGET_ALL,
    TARGET_ME,
    Addressee,
    SubscriptionError,
    SubscriptionType,
    target_filter,
)
from bridge.domain.access.topic_layout import EVENTS, RegionTable, event_mask, remove_covered
from bridge.domain.access.viewer import Viewer
from bridge.domain.events import EventType, Priority
from bridge.domain.topics import TopicError, TopicFilter, TopicName

MAX_TARGETS: Final = 100  # of one subscription; each is checked against every grant
MAX_EFFECTIVE: Final = (
    1_000  # filters of one admitted subscription; stops 100 targets x 1,000 grants from filling index and reply
)
MAX_ID: Final = 128  # characters of a subscription id, which every answer about it repeats


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
    raw = _parse_raw_filter(body)
    kind = _parse_type(body, required=raw is None)
    target = _parse_target(body)
    event_types, priorities = _parse_masks(body)
    filters: tuple[TopicFilter, ...] = (raw,) if raw is not None else ()
    texts = (target,) if isinstance(target, str) else target and tuple(dict.fromkeys(target))
    addressee = kind.me if kind is not None and TARGET_ME in (texts or ()) else None
    if addressee is not None and texts is not None and len(texts) > 1:
        raise SubscriptionError("INVALID_MESSAGE", "the target me stands alone; ask for the others beside it")
    if kind is not None:
        filters = tuple(dict.fromkeys(target_filter(kind, text) for text in texts or (TARGET_ALL,)))
        if raw is not None:
            filters = _intersect_all(filters, raw)
    elif texts is not None:
        raise SubscriptionError("INVALID_MESSAGE", "a target needs a subscription_type")
    return SubscriptionRequest(
        id=_parse_id(body) or _default_id(kind, texts, raw),
        subscription_type=kind,
        target_id=target,
        filters=filters,
        event_types=event_types,
        priorities=priorities,
        addressee=addressee,
        strict=_parse_flag(body, "strict", default=False),
        snapshot=_parse_flag(body, "snapshot", default=True),
        raw_filter=raw,
    )


def parse_unsubscription(body: Mapping[str, object]) -> str | SubscriptionRequest:
    """Return what an unsubscribe body ends: the subscription of an id, or without one all with `is_same_selection`."""
    return _parse_id(body) or parse_subscription(body)


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
    for each in request.filters:
        match decide(each, viewer.read_grants, mask=ways):
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
    regions = {EVENTS.region(each, mask=ways): each for each in effective}
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


def _intersect_all(filters: tuple[TopicFilter, ...], raw: TopicFilter) -> tuple[TopicFilter, ...]:
    """Return the filters narrowed by a raw filter; raise SubscriptionError when nothing is left."""
    common = tuple(dict.fromkeys(each for each in (each.intersect(raw) for each in filters) if each is not None))
    if not common:
        raise SubscriptionError("INVALID_MESSAGE", "mqtt_filter and target have no topic in common")
    return common


def _parse_raw_filter(body: Mapping[str, object]) -> TopicFilter | None:
    text = body.get("mqtt_filter")
    if text is None:
        return None
    if not isinstance(text, str):
        raise SubscriptionError("INVALID_MESSAGE", "mqtt_filter is not a text")
    try:
        return TopicFilter.parse(text)
    except TopicError as error:
        raise SubscriptionError("INVALID_MESSAGE", f"mqtt_filter: {error}") from error


_TYPES: Final = {kind.value: kind for kind in SubscriptionType}


def _parse_type(body: Mapping[str, object], *, required: bool) -> SubscriptionType | None:
    text = body.get("subscription_type")
    if text is None and not required:
        return None
    if not isinstance(text, str):
        raise SubscriptionError("INVALID_MESSAGE", "subscription_type is missing, or not a text")
    kind = _TYPES.get(text)
    if kind is None:
        message = f"{text[:MAX_QUOTED_CHARS]!r} is none of {', '.join(_TYPES)}"
        raise SubscriptionError("UNKNOWN_SUBSCRIPTION_TYPE", message)
    return kind


def _parse_target(body: Mapping[str, object]) -> str | tuple[str, ...] | None:
    """Return the target as sent; None when neither field is present. A present target must not be empty."""
    sent = [body[name] for name in ("target_id", "target") if name in body]
    if not sent:
        return None
    if len(sent) == 2 and sent[0] != sent[1]:
        raise SubscriptionError("INVALID_MESSAGE", "target_id and target differ")
    value = sent[0]
    texts = value if isinstance(value, list) else [value]
    if not texts or any(text is None or text == "" for text in texts):
        raise SubscriptionError("MISSING_TARGET_ID", "the target is empty; leave it out, or say all, for all")
    if len(texts) > MAX_TARGETS:
        raise SubscriptionError("LIMIT_EXCEEDED", f"{len(texts)} targets, the limit is {MAX_TARGETS}")
    checked = tuple(text for text in texts if isinstance(text, str))
    if len(checked) != len(texts):
        raise SubscriptionError("INVALID_MESSAGE", "a target is a text, or a list of texts")
    return checked if isinstance(value, list) else checked[0]


def _parse_masks(body: Mapping[str, object]) -> tuple[frozenset[EventType] | None, frozenset[Priority] | None]:
    filters = body.get("filters")
    if filters is None:
        return None, None
    if not isinstance(filters, dict):
        raise SubscriptionError("INVALID_MESSAGE", "filters is not an object")
    return _parse_mask(filters, "event_types", EventType), _parse_mask(filters, "priorities", Priority)


Word = TypeVar("Word", EventType, Priority)


def _parse_mask(filters: Mapping[str, object], name: str, words: type[Word]) -> frozenset[Word] | None:
    values = filters.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not values:
        raise SubscriptionError("INVALID_MESSAGE", f"filters.{name} is not a list with something in it")
    known = {word.value: word for word in words}
    for value in values:
        if not isinstance(value, str) or value not in known:
            raise SubscriptionError("INVALID_MESSAGE", f"filters.{name}: {str(value)[:MAX_QUOTED_CHARS]!r} is unknown")
    return frozenset(known[value] for value in values)


def _parse_flag(body: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise SubscriptionError("INVALID_MESSAGE", f"{name} is not true or false")
    return value


def _parse_id(body: Mapping[str, object]) -> str | None:
    value = body.get("id")
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID:
        raise SubscriptionError("INVALID_MESSAGE", f"id is not a text of 1 to {MAX_ID} characters")
    return value


def _default_id(kind: SubscriptionType | None, texts: tuple[str, ...] | None, raw: TopicFilter | None) -> str:
    """Return an id that depends on type, targets and raw filter only, so that a client can unsubscribe by them."""
    parts = [] if kind is None else [f"{kind.value}:{','.join(sorted(set(texts or (TARGET_ALL,))))}"]
    return " ".join(parts if raw is None else [*parts, f"mqtt_filter:{raw}"])
