"""Session of an authenticated dashboard: its requests, and the actions they lead to (protocol.md, «Requests»).

Authority is a type: a `DashboardSession` requires a `Viewer`, and nothing else can subscribe or command.
"""

from typing import assert_never

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
from bridge.domain.utc_time import Millis, rfc3339
from bridge.protocol.actions import (
    AcknowledgeEvent,
    Action,
    EndSubscription,
    ResumeFrom,
    RunCommand,
    Send,
    SendSnapshot,
    SetBatching,
    StartSubscription,
)
from bridge.protocol.client_frames import (
    Acknowledge,
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
from bridge.protocol.commands import parse_command
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.grant_update import SubscriptionTable, update_grants
from bridge.protocol.server_frames import (
    OptionsInForce,
    Pong,
    confirmation_frame,
    end_confirmation_frame,
    error_frame,
    explained_frame,
)

SessionFrame = Subscribe | Unsubscribe | Resume | Options | Ping | CommandFrame | Acknowledge | Explain


class DashboardSession:
    """One viewer's subscriptions and options, from admission to the end of the connection."""

    def __init__(self, viewer: Viewer, *, max_subscriptions: int) -> None:
        self.viewer = viewer
        self.batching = SetBatching(batch=False, batch_ms=0)
        self._max_subscriptions = max_subscriptions  # bounds what one connection can put into every index
        self._subscriptions: SubscriptionTable = {}

    @property
    def subscription_requests(self) -> list[SubscriptionRequest]:
        return [request for request, _ in self._subscriptions.values()]

    def update_viewer(self, viewer: Viewer) -> list[Action]:
        """Replace the viewer by that of the same user's new token, and return the actions for changed grants."""
        self.viewer = viewer
        return update_grants(self._subscriptions, viewer)

    def execute(self, frame: SessionFrame, server_time: Millis) -> list[Action]:
        """Return the actions that one frame leads to, in order; raise InvalidFrame."""
        match frame:
            case Subscribe(body):
                subscription = self._add(admit_body(body, self.viewer))
                snapshot = [SendSnapshot(subscription.request.id)] if subscription.request.snapshot else []
                return [
                    StartSubscription(subscription, deferred=bool(snapshot)),
                    Send(confirmation_frame(subscription)),
                    *snapshot,
                ]
            case Unsubscribe(body):
                return self._unsubscribe(body)
            case Resume():
                return self._resume(frame)
            case Options():
                return self._set_options(frame)
            case Ping(timestamp):
                return [Send(Pong(timestamp=timestamp, server_time=rfc3339(server_time)))]
            case CommandFrame(_, body):
                return [RunCommand(parse_command(body))]
            case Acknowledge(event_id, id=command_id):
                return [AcknowledgeEvent(command_id, event_id)]
            case Explain(body):
                request = parse_request(body)
                return [Send(explained_frame(request.id, admit_subscription(request, self.viewer)))]
            case _:
                assert_never(frame)

    def _add(self, subscription: Subscription) -> Subscription:
        name = subscription.request.id
        if name not in self._subscriptions and len(self._subscriptions) >= self._max_subscriptions:
            raise InvalidFrame(ErrorCode.LIMIT_EXCEEDED, f"at most {self._max_subscriptions} subscriptions", id=name)
        self._subscriptions[name] = (subscription.request, subscription)
        return subscription

    def _unsubscribe(self, body: dict[str, object]) -> list[Action]:
        try:
            target = parse_unsubscription(body)
        except SubscriptionError as error:
            raise _invalid_frame(error, body) from None
        if isinstance(target, str):
            ids = [target] if target in self._subscriptions else []
        else:
            ids = [held_id for held_id, (held, _) in self._subscriptions.items() if selects_same(held, target)]
        if not ids:
            raise InvalidFrame(
                ErrorCode.INVALID_MESSAGE,
                "no such subscription",
                id=target if isinstance(target, str) else target.id,
            )
        actions: list[Action] = []
        for ended_id in ids:
            actions += [EndSubscription(ended_id), Send(end_confirmation_frame(*self._subscriptions.pop(ended_id)))]
        return actions

    def _resume(self, frame: Resume) -> list[Action]:
        if len(frame.subscriptions) > self._max_subscriptions:
            raise InvalidFrame(ErrorCode.LIMIT_EXCEEDED, f"at most {self._max_subscriptions} subscriptions")
        errors: list[Action] = []
        subscriptions: dict[str, Subscription] = {}
        for body in frame.subscriptions:
            try:
                subscription = self._add(admit_body(body, self.viewer))
            except InvalidFrame as error:
                errors.append(Send(error_frame(error)))
            else:
                subscriptions[subscription.request.id] = subscription
        starts = [StartSubscription(subscription, deferred=True) for subscription in subscriptions.values()]
        return [*errors, *starts, ResumeFrom(tuple(subscriptions.values()), frame.since)]

    def _set_options(self, frame: Options) -> list[Action]:
        former = self.batching
        self.batching = SetBatching(
            batch=former.batch if frame.batch is None else frame.batch,
            batch_ms=former.batch_ms if frame.batch_ms is None else frame.batch_ms,
        )
        # The answer itself is still sent in the former format.
        return [Send(OptionsInForce(batch=self.batching.batch, batch_ms=self.batching.batch_ms)), self.batching]


def parse_request(body: dict[str, object]) -> SubscriptionRequest:
    """Return the request in a subscribe body; raise InvalidFrame."""
    try:
        return parse_subscription(body)
    except SubscriptionError as error:
        raise _invalid_frame(error, body) from None


def admit_body(body: dict[str, object], viewer: Viewer) -> Subscription:
    """Return the granted part of a subscribe body; raise InvalidFrame, with the witness if it is refused."""
    request = parse_request(body)
    match admit_subscription(request, viewer):
        case Subscription() as subscription:
            return subscription
        case NotGranted(witness, reason):
            detail = None if witness is None else {"witness": str(witness)}
            raise InvalidFrame(ErrorCode.FORBIDDEN, reason, id=request.id, detail=detail)


def _invalid_frame(error: SubscriptionError, body: dict[str, object]) -> InvalidFrame:
    return InvalidFrame(ErrorCode(error.code), error.message, id=repeatable_id(body))
