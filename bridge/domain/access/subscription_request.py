"""Requests for subscriptions: the fields of a subscribe body, and their meaning. Source: protocol.md, «Requests».

The schema of a subscribe frame comes from `SubscriptionBody`. Admission is in subscriptions.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bridge.domain.access.subscription_types import (
    MAX_QUOTED_CHARS,
    TARGET_ALL,
    TARGET_ME,
    Addressee,
    SubscriptionError,
    SubscriptionErrorCode,
    SubscriptionType,
    target_filter,
)
from bridge.domain.access.topic_layout import event_mask
from bridge.domain.events import EventType, Priority
from bridge.domain.topics import TopicError, TopicFilter
from bridge.domain.validation_errors import FieldFault

MAX_TARGETS: Final = 100  # of one subscription; each is checked against every grant
MAX_SUBSCRIPTION_ID: Final = 128  # characters; every answer about the subscription repeats it

SubscriptionId = Annotated[str, Meta(min_length=1, max_length=MAX_SUBSCRIPTION_ID)]
Target = Annotated[str, Meta(min_length=1)]
Targets = Target | Annotated[list[Target], Meta(min_length=1, max_length=MAX_TARGETS)]


class EventMasks(Struct, frozen=True):
    """The `filters` of a subscription: the only event types and priorities that it receives; absent: all."""

    event_types: Annotated[list[EventType], Meta(min_length=1)] | None = None
    priorities: Annotated[list[Priority], Meta(min_length=1)] | None = None


class SubscriptionBody(Struct, frozen=True, kw_only=True):
    """A subscription: a type with its targets, a raw filter, or both. `target` is an alias of `target_id`."""

    id: SubscriptionId | None = None
    subscription_type: SubscriptionType | None = None
    target_id: Targets | UnsetType = UNSET
    target: Targets | UnsetType = UNSET
    filters: EventMasks | None = None
    mqtt_filter: str | None = None
    strict: bool | None = False
    snapshot: bool | None = True


class _BodyId(Struct):
    id: SubscriptionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRequest:
    """A client's request. `filters` are relative to `{root}/event/`; `addressee` must be in an event's audience."""

    id: str
    subscription_type: SubscriptionType | None  # None: only a raw filter
    target_id: str | tuple[str, ...] | None  # as sent; None: omitted, meaning all
    filters: tuple[TopicFilter, ...]
    mask: int  # event types and priorities, in the layout `EVENTS`
    addressee: Addressee | None
    strict: bool
    snapshot: bool


def parse_subscription(body: Mapping[str, object]) -> SubscriptionRequest:
    """Return the request in a decoded subscribe body; raise SubscriptionError. Unknown fields are ignored."""
    fields = _parse_body(body)
    kind, target = fields.subscription_type, _target(fields)
    raw_filter = _parse_raw_filter(fields.mqtt_filter)
    targets = (target,) if isinstance(target, str) else target and tuple(dict.fromkeys(target))
    addressee = kind.me if kind is not None and TARGET_ME in (targets or ()) else None
    if addressee is not None and targets is not None and len(targets) > 1:
        raise _invalid("the target me stands alone; ask for the others beside it")
    masks = fields.filters or EventMasks()
    return SubscriptionRequest(
        id=fields.id or _default_id(kind, targets, raw_filter),
        subscription_type=kind,
        target_id=target,
        filters=_filters(kind, targets, raw_filter),
        mask=event_mask(masks.event_types, masks.priorities),
        addressee=addressee,
        strict=fields.strict is True,
        snapshot=fields.snapshot is not False,
    )


def parse_unsubscription(body: Mapping[str, object]) -> str | SubscriptionRequest:
    """Return what an unsubscribe body names: the id of a subscription, or without an id a request.

    A request stands for every subscription of the same type and targets (`selects_same`).
    """
    try:
        subscription_id = msgspec.convert(body, _BodyId).id
    except msgspec.ValidationError as error:
        raise _invalid_field(error) from None
    return subscription_id or parse_subscription(body)


def selects_same(one: SubscriptionRequest, other: SubscriptionRequest) -> bool:
    """Return whether two requests have the same type and targets, however written; ids and masks may differ."""
    return (one.subscription_type, one.addressee, set(one.filters)) == (
        other.subscription_type,
        other.addressee,
        set(other.filters),
    )


_TYPES: Final = frozenset(kind.value for kind in SubscriptionType)


def _parse_body(body: Mapping[str, object]) -> SubscriptionBody:
    _check_type(body.get("subscription_type"))
    for name in ("target_id", "target"):
        if name in body:
            _check_target(body[name])
    try:
        return msgspec.convert(body, SubscriptionBody)
    except msgspec.ValidationError as error:
        raise _invalid_field(error) from None


def _check_type(value: object) -> None:
    if isinstance(value, str) and value not in _TYPES:
        message = f"{value[:MAX_QUOTED_CHARS]!r} is none of {', '.join(SubscriptionType)}"
        raise SubscriptionError(SubscriptionErrorCode.UNKNOWN_SUBSCRIPTION_TYPE, message)


def _check_target(value: object) -> None:
    targets = value if isinstance(value, list) else [value]
    if not targets or any(target is None or target == "" for target in targets):
        message = "the target is empty; leave it out, or send all, for all"
        raise SubscriptionError(SubscriptionErrorCode.MISSING_TARGET_ID, message)
    if len(targets) > MAX_TARGETS:
        message = f"{len(targets)} targets, the limit is {MAX_TARGETS}"
        raise SubscriptionError(SubscriptionErrorCode.LIMIT_EXCEEDED, message)


def _target(fields: SubscriptionBody) -> str | tuple[str, ...] | None:
    """Return the target as sent; None when neither field is present."""
    sent = [value for value in (fields.target_id, fields.target) if value is not UNSET]
    if not sent:
        return None
    if sent[0] != sent[-1]:
        raise _invalid("target_id and target differ")
    return tuple(sent[0]) if isinstance(sent[0], list) else sent[0]


def _parse_raw_filter(text: str | None) -> TopicFilter | None:
    try:
        return None if text is None else TopicFilter.parse(text)
    except TopicError as error:
        raise _invalid(f"mqtt_filter: {error}") from error


def _filters(
    kind: SubscriptionType | None, targets: tuple[str, ...] | None, raw_filter: TopicFilter | None
) -> tuple[TopicFilter, ...]:
    """Return the filters of the targets, narrowed by a raw filter; raise SubscriptionError when nothing is left."""
    if kind is None:
        if raw_filter is None:
            raise _invalid("subscription_type is missing")
        if targets is not None:
            raise _invalid("a target needs a subscription_type")
        return (raw_filter,)
    filters = dict.fromkeys(target_filter(kind, target) for target in targets or (TARGET_ALL,))
    if raw_filter is None:
        return tuple(filters)
    common = tuple(dict.fromkeys(filter(None, (topic_filter.intersect(raw_filter) for topic_filter in filters))))
    if not common:
        raise _invalid("mqtt_filter and target have no topic in common")
    return common


def _default_id(kind: SubscriptionType | None, targets: tuple[str, ...] | None, raw_filter: TopicFilter | None) -> str:
    """Return an id that depends on type, targets and raw filter only, so that a client can unsubscribe by them."""
    parts = [] if kind is None else [f"{kind.value}:{','.join(sorted(set(targets or (TARGET_ALL,))))}"]
    return " ".join(parts if raw_filter is None else [*parts, f"mqtt_filter:{raw_filter}"])


def _invalid(message: str) -> SubscriptionError:
    return SubscriptionError(SubscriptionErrorCode.INVALID_MESSAGE, message)


def _invalid_field(error: msgspec.ValidationError) -> SubscriptionError:
    return _invalid(FieldFault.of(error).describe("subscription"))
