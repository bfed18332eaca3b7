"""Body of a subscribe frame: its fields as types, from which its schema comes. Source: protocol.md, «Requests»."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bridge.domain.access.subscription_types import (
    MAX_QUOTED_CHARS,
    SubscriptionError,
    SubscriptionErrorCode,
    SubscriptionType,
)
from bridge.domain.events import EventType, Priority
from bridge.domain.validation_errors import FieldFault

MAX_TARGETS: Final = 100  # of one subscription; each is checked against every grant
MAX_SUBSCRIPTION_ID: Final = 128  # characters; every answer about the subscription repeats it

SubscriptionId = Annotated[str, Meta(min_length=1, max_length=MAX_SUBSCRIPTION_ID)]
Target = Annotated[str, Meta(min_length=1)]
Targets = Target | Annotated[list[Target], Meta(min_length=1, max_length=MAX_TARGETS)]


class EventMasks(Struct, frozen=True):
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


def parse_body(body: Mapping[str, object]) -> SubscriptionBody:
    """Return the fields of a decoded body; raise SubscriptionError. Unknown fields are ignored."""
    _check_type(body.get("subscription_type"))
    for name in ("target_id", "target"):
        if name in body:
            _check_target(body[name])
    try:
        return msgspec.convert(body, SubscriptionBody)
    except msgspec.ValidationError as error:
        raise _invalid_field(error) from None


def parse_id(body: Mapping[str, object]) -> str | None:
    """Return the subscription id in a decoded body; raise SubscriptionError."""
    try:
        return msgspec.convert(body, _Identified).id
    except msgspec.ValidationError as error:
        raise _invalid_field(error) from None


class _Identified(Struct):
    id: SubscriptionId | None = None


_TYPES: Final = frozenset(kind.value for kind in SubscriptionType)


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


def _invalid_field(error: msgspec.ValidationError) -> SubscriptionError:
    return SubscriptionError(SubscriptionErrorCode.INVALID_MESSAGE, FieldFault.of(error).describe("subscription"))
