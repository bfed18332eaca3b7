"""Session of an authenticated dashboard: executes its requests on its delivery (protocol.md, «Requests»).

Authority is a type: a `DashboardSession` requires a `Viewer`, and nothing else can subscribe or command.
"""

from collections.abc import Collection, Hashable, Mapping
from typing import Final, assert_never

from bridge.domain.access.grants import NotGranted
from bridge.domain.access.subscription_request import (
    SubscriptionRequest,
    parse_subscription,
    parse_unsubscription,
    selects_same,
)
from bridge.domain.access.subscription_types import SubscriptionError
from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.topics import TopicFilter
from bridge.domain.utc_time import Millis, rfc3339
from bridge.protocol.client_frames import (
    Acknowledge,
    Body,
    CommandFrame,
    Explain,
    InvalidFrame,
    Options,
    Ping,
    Resume,
    Subscribe,
    Unsubscribe,
    repeatable_id,
)
from bridge.protocol.commands import CommandRequest, parse_command
from bridge.protocol.delivery import Delivery
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.server_frames import (
    Effective,
    OptionsInForce,
    Pong,
    Revoked,
    Widened,
    error_frame,
    explained_frame,
)

SessionFrame = Subscribe | Unsubscribe | Resume | Options | Ping | CommandFrame | Acknowledge | Explain
SessionWork = CommandRequest | Acknowledge
"""Requests that take IO: a command to publish, and one for the call of an event. Their results are answers."""

Granted = Mapping[str, Subscription | None]
"""Granted part of each subscription, by its id; None: nothing of it."""

_NO_BATCHING: Final = OptionsInForce(batch=False, batch_ms=0)


class DashboardSession:
    """One viewer's requests and options, from admission to the end of the connection."""

    def __init__(self, viewer: Viewer, delivery: Delivery[Hashable], *, max_subscriptions: int) -> None:
        self.viewer = viewer
        self._delivery = delivery
        self._options = _NO_BATCHING
        self._max_subscriptions = max_subscriptions  # bounds what one connection can put into every index

    def update_viewer(self, viewer: Viewer) -> None:
        """Replace the viewer by that of the same user's new token: it decides every subscription again.

        A subscription of which nothing is granted is kept without effect: a later token may restore it.
        A widened one gets its whole snapshot: `snapshot_begin` clears all that the client held for it.
        """
        self.viewer = viewer
        delivery = self._delivery
        former = {name: subscription.granted for name, subscription in delivery.subscriptions.items()}
        granted: dict[str, Subscription | None] = {}
        for name, subscription in delivery.subscriptions.items():
            decision = admit_subscription(subscription.request, viewer)
            granted[name] = decision if isinstance(decision, Subscription) else None
        delivery.update_grants(viewer, granted)
        widened, revoked = widened_frame(former, granted), revoked_frame(former, granted)
        # `widened` comes first: a client disconnected after it knows that a snapshot is still missing.
        if widened is not None:
            delivery.answer(widened)
        if revoked is not None:
            delivery.answer(revoked)
        if widened is not None:
            for changed in widened.subscriptions:
                delivery.send_snapshot(changed.id)

    def execute(self, frame: SessionFrame, server_time: Millis) -> SessionWork | None:
        """Execute one frame on the delivery, or return the work that it takes; raise InvalidFrame."""
        delivery = self._delivery
        match frame:
            case Subscribe(body):
                subscription = self._admit(body)
                delivery.subscribe(subscription, snapshot=subscription.request.snapshot)
            case Unsubscribe(body):
                self._unsubscribe(body)
            case Resume():
                self._resume(frame)
            case Options():
                self._set_options(frame)
            case Ping(timestamp):
                delivery.answer(Pong(timestamp=timestamp, server_time=rfc3339(server_time)))
            case CommandFrame(_, body):
                return parse_command(body)
            case Acknowledge():
                return frame
            case Explain(body):
                request = parse_request(body)
                delivery.answer(explained_frame(request.id, admit_subscription(request, self.viewer)))
            case _:
                assert_never(frame)
        return None

    def _admit(self, body: Body, *, beside: Collection[str] = ()) -> Subscription:
        """Return the granted part of a subscribe body, which may be one more beside these; raise InvalidFrame."""
        subscription = admit_body(body, self.viewer)
        name, held = subscription.request.id, self._delivery.subscriptions.keys() | beside
        if name not in held and len(held) >= self._max_subscriptions:
            raise self._too_many(name)
        return subscription

    def _too_many(self, name: str | None = None) -> InvalidFrame:
        return InvalidFrame(ErrorCode.LIMIT_EXCEEDED, f"at most {self._max_subscriptions} subscriptions", id=name)

    def _unsubscribe(self, body: Body) -> None:
        try:
            target = parse_unsubscription(body)
        except SubscriptionError as error:
            raise _invalid_frame(error, body) from None
        held = self._delivery.subscriptions
        if isinstance(target, str):
            ended, name = [target] if target in held else [], target
        else:
            ended = [name for name, subscription in held.items() if selects_same(subscription.request, target)]
            name = target.id
        if not ended:
            raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "no such subscription", id=name)
        for ended_name in ended:
            self._delivery.unsubscribe(ended_name)

    def _resume(self, frame: Resume) -> None:
        if len(frame.subscriptions) > self._max_subscriptions:
            raise self._too_many()
        resumed: dict[str, Subscription] = {}
        for body in frame.subscriptions:
            try:
                subscription = self._admit(body, beside=resumed)
            except InvalidFrame as error:
                self._delivery.answer(error_frame(error))
            else:
                resumed[subscription.request.id] = subscription
        self._delivery.resume(tuple(resumed.values()), frame.since)

    def _set_options(self, frame: Options) -> None:
        former = self._options
        self._options = OptionsInForce(
            batch=former.batch if frame.batch is None else frame.batch,
            batch_ms=former.batch_ms if frame.batch_ms is None else frame.batch_ms,
        )
        self._delivery.answer(self._options)  # still in the former format
        self._delivery.set_batching(batch=self._options.batch, batch_ms=self._options.batch_ms)


def parse_request(body: Body) -> SubscriptionRequest:
    """Return the request in a subscribe body; raise InvalidFrame."""
    try:
        return parse_subscription(body)
    except SubscriptionError as error:
        raise _invalid_frame(error, body) from None


def admit_body(body: Body, viewer: Viewer) -> Subscription:
    """Return the granted part of a subscribe body; raise InvalidFrame, with the witness if it is refused."""
    request = parse_request(body)
    match admit_subscription(request, viewer):
        case Subscription() as subscription:
            return subscription
        case NotGranted(witness, reason):
            detail = None if witness is None else {"witness": str(witness)}
            raise InvalidFrame(ErrorCode.FORBIDDEN, reason, id=request.id, detail=detail)


def widened_frame(former: Granted, latter: Granted) -> Widened | None:
    """Return the report of what of these subscriptions is granted since; None if there is nothing."""
    gained = {name: _lost(latter[name], to=former[name]) for name in latter}
    return Widened(filters=_texts(gained), subscriptions=_remaining(latter, gained)) if any(gained.values()) else None


def revoked_frame(former: Granted, latter: Granted) -> Revoked | None:
    """Return the report of what of these subscriptions is no longer granted; None if there is nothing."""
    lost = {name: _lost(former[name], to=latter[name]) for name in latter}
    return Revoked(filters=_texts(lost), subscriptions=_remaining(latter, lost)) if any(lost.values()) else None


def _lost(subscription: Subscription | None, *, to: Subscription | None) -> tuple[TopicFilter, ...]:
    return () if subscription is None else subscription.lost_to(to)


def _effective(subscription: Subscription | None) -> tuple[TopicFilter, ...]:
    return () if subscription is None else subscription.effective


def _texts(changes: Mapping[str, tuple[TopicFilter, ...]]) -> list[str]:
    return list(dict.fromkeys(str(topic_filter) for filters in changes.values() for topic_filter in filters))


def _remaining(granted: Granted, changes: Mapping[str, tuple[TopicFilter, ...]]) -> list[Effective]:
    return [
        Effective(name, [str(topic_filter) for topic_filter in _effective(granted[name])])
        for name, filters in changes.items()
        if filters
    ]


def _invalid_frame(error: SubscriptionError, body: Body) -> InvalidFrame:
    return InvalidFrame(ErrorCode(error.code), error.message, id=repeatable_id(body))
