"""Frames that the server sends besides events, as types. Source: protocol.md, «Requests» and «Server frames»."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from bridge.domain.access.grants import NotGranted, explain_decision
from bridge.domain.access.subscription_request import SubscriptionRequest
from bridge.domain.access.subscriptions import Subscription
from bridge.domain.records import Position
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.error_codes import ErrorCode


class StreamAt(Struct, frozen=True):
    epoch: str
    offset: int


def stream_positions(position: Position) -> dict[str, StreamAt]:
    return {position.stream: StreamAt(position.epoch, position.offset)}


class ServerFrame(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all server frames but events, which are sent as journalled."""

    def as_data(self) -> dict[str, Any]:
        """Return the fields as plain data, without the type, for an HTTP response."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        del fields["type"]
        return fields


class AuthOk(ServerFrame, frozen=True, kw_only=True, tag="auth_ok"):
    user_id: str
    roles: list[str]
    expires_at: str
    read: list[str]
    command: list[str]
    streams: dict[str, StreamAt]
    server_time: str
    simulated: bool


class SubscriptionConfirmed(ServerFrame, frozen=True, kw_only=True, tag="subscription_confirmed"):
    id: str
    subscription_type: str | None
    target_id: Any
    target: Any
    effective: list[str]
    narrowed: bool


class UnsubscriptionConfirmed(ServerFrame, frozen=True, kw_only=True, tag="unsubscription_confirmed"):
    id: str
    subscription_type: str | None
    target_id: Any
    target: Any
    effective: list[str]
    narrowed: bool


class Recovery(Struct, frozen=True):
    recovered: bool


class Resumed(ServerFrame, frozen=True, kw_only=True, tag="resumed"):
    subscriptions: list[SubscriptionConfirmed]
    streams: dict[str, Recovery]


class OptionsInForce(ServerFrame, frozen=True, kw_only=True, tag="options"):
    batch: bool
    batch_ms: int


class Pong(ServerFrame, frozen=True, kw_only=True, tag="pong"):
    server_time: str
    timestamp: str | int | float | None = None


class CommandResult(ServerFrame, frozen=True, kw_only=True, tag="command_result"):
    id: str
    outcome: str
    event_ids: list[str]
    reason: str | None = None


class Explained(ServerFrame, frozen=True, kw_only=True, tag="explained"):
    """A decision as grants.py renders it, for the subscription with this id."""

    id: str
    allowed: bool
    witness: str | None
    effective: list[str] = []
    narrowed: bool | None = None
    grants: list[dict[str, str]] = []
    reason: str | None = None


class SnapshotBegin(ServerFrame, frozen=True, kw_only=True, tag="snapshot_begin"):
    id: str
    positions: dict[str, StreamAt]


class SnapshotEnd(ServerFrame, frozen=True, kw_only=True, tag="snapshot_end"):
    id: str
    count: int


class PositionReached(ServerFrame, frozen=True, kw_only=True, tag="position"):
    streams: dict[str, StreamAt]


class StreamLink(Struct, frozen=True):
    live: bool
    last_seen: str | None
    offset: int


class Link(ServerFrame, frozen=True, kw_only=True, tag="link"):
    broker: bool
    streams: dict[str, StreamLink]


class Conflated(ServerFrame, frozen=True, kw_only=True, tag="conflated"):
    counts: dict[str, int]


class Effective(Struct, frozen=True):
    id: str
    effective: list[str]


class Revoked(ServerFrame, frozen=True, kw_only=True, tag="revoked"):
    """`filters` ended; `subscriptions` holds what remains of each that lost something."""

    filters: list[str]
    subscriptions: list[Effective]


class Widened(ServerFrame, frozen=True, kw_only=True, tag="widened"):
    """`filters` began; a whole snapshot of each of `subscriptions` follows."""

    filters: list[str]
    subscriptions: list[Effective]


class Expiring(ServerFrame, frozen=True, kw_only=True, tag="expiring"):
    expires_at: str


class Error(ServerFrame, frozen=True, kw_only=True, tag="error"):
    code: ErrorCode
    message: str
    id: str | None = None
    detail: dict[str, Any] | None = None


def error_frame(invalid: InvalidFrame) -> Error:
    detail = None if invalid.detail is None else dict(invalid.detail)
    return Error(code=invalid.code, message=invalid.message, id=invalid.id, detail=detail)


_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a connection and its reason, which is short and reveals nothing that the client may not know."""

    code: CloseCode
    reason: str


def encode_frame(frame: ServerFrame) -> bytes:
    return _ENCODER.encode(frame)


def confirmation_frame(subscription: Subscription) -> SubscriptionConfirmed:
    return SubscriptionConfirmed(**_confirmed(subscription.request, subscription))


def resumed_frame(subscriptions: Iterable[Subscription], recovered: Mapping[str, bool]) -> Resumed:
    """Return the answer to a resume; `recovered`: by stream."""
    return Resumed(
        subscriptions=[confirmation_frame(subscription) for subscription in subscriptions],
        streams={stream: Recovery(is_recovered) for stream, is_recovered in recovered.items()},
    )


def end_confirmation_frame(request: SubscriptionRequest, subscription: Subscription | None) -> UnsubscriptionConfirmed:
    return UnsubscriptionConfirmed(**_confirmed(request, subscription))


def _confirmed(request: SubscriptionRequest, subscription: Subscription | None) -> dict[str, Any]:
    return {
        "id": request.id,
        "subscription_type": request.subscription_type,
        "target_id": request.target_id,
        "target": request.target_id,
        "effective": [] if subscription is None else [str(topic_filter) for topic_filter in subscription.effective],
        "narrowed": subscription is None or subscription.narrowed,
    }


def explained_frame(name: str, decision: Subscription | NotGranted) -> Explained:
    """Return the decision as `explain_decision` renders it."""
    return Explained(id=name, **explain_decision(decision if isinstance(decision, NotGranted) else decision.allowed))
