"""Session of an authenticated dashboard: executes its requests on its delivery (protocol.md, «Requests»).

Authority is a type: a `DashboardSession` requires a `Viewer`, and nothing else can subscribe or command.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar, assert_never

from bridge.domain.access.grants import NotGranted
from bridge.domain.access.subscription_request import (
    SubscriptionRequest,
    parse_subscription,
    parse_unsubscription,
    selects_same,
)
from bridge.domain.access.subscription_types import SubscriptionError
from bridge.domain.access.subscriptions import Subscription, admit_in_steps
from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps, complete
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
from bridge.protocol.event_selectors import ActiveSubscription
from bridge.protocol.grant_changes import GrantChange, compare_grants, revoked_frame, widened_frame
from bridge.protocol.server_frames import (
    OptionsInForce,
    Pong,
    ServerFrame,
    error_frame,
    explained_frame,
)

SessionFrame = Subscribe | Unsubscribe | Resume | Options | Ping | CommandFrame | Acknowledge | Explain
SessionWork = CommandRequest | Acknowledge
"""Requests that take IO: a command to publish, and one for the call of an event. Their results are answers."""

T = TypeVar("T")

_NO_BATCHING: Final = OptionsInForce(batch=False, batch_ms=0)


class DashboardSession:
    """One viewer's requests and options, from admission to the end of the connection.

    What may take long is returned as steps: the next frame comes after their end. The viewer may change in between;
    then what was decided for the former one is decided again. Only the last step touches the delivery.
    """

    def __init__(
        self, viewer: Viewer, delivery: Delivery[Hashable], *, max_subscriptions: int, max_filters: int
    ) -> None:
        self.viewer = viewer
        self._delivery = delivery
        self._options = _NO_BATCHING
        self._max_subscriptions = max_subscriptions  # bounds what one connection can put into every index
        self._max_filters = max_filters  # of them together

    def update_viewer(self, viewer: Viewer, *, answer: Callable[[Viewer], ServerFrame] | None = None) -> Steps[None]:
        """Replace the viewer by that of the same user's new token: it decides every subscription again.

        A subscription of which nothing is granted is kept without effect: a later token may restore it.
        A widened one gets its whole snapshot: `snapshot_begin` clears all that the client held for it.
        `answer` precedes what changes.
        """
        self.viewer = viewer
        delivery = self._delivery
        decided = yield from self._decide_again(viewer)
        if answer is not None:
            delivery.answer(answer(self.viewer))
        if self.viewer is not viewer:  # by an update that began later, and decides
            return
        changes = [change for held, change in decided if delivery.subscriptions.get(held.id) is held]
        delivery.update_grants(viewer, {change.name: change.granted for change in changes})
        widened, revoked = widened_frame(changes), revoked_frame(changes)
        # `widened` comes first: a client disconnected after it knows that a snapshot is still missing.
        if widened is not None:
            delivery.answer(widened)
        if revoked is not None:
            delivery.answer(revoked)
        if widened is not None:
            for changed in widened.subscriptions:
                delivery.send_snapshot(changed.id)

    def _decide_again(self, viewer: Viewer) -> Steps[list[tuple[ActiveSubscription, GrantChange]]]:
        """Decide all subscriptions for this viewer; from where they exceed `max_filters` on, nothing is granted."""
        decided = []
        filters = 0
        for held in list(self._delivery.subscriptions.values()):
            decision = yield from admit_in_steps(held.request, viewer)
            granted = decision if isinstance(decision, Subscription) else None
            filters += _count_filters([granted])
            change = yield from compare_grants(held.id, held.granted, granted if filters <= self._max_filters else None)
            decided.append((held, change))
            yield
        return decided

    def execute(self, frame: SessionFrame, server_time: Millis) -> SessionWork | Steps[None] | None:
        """Execute one frame on the delivery, or return what of it takes IO or steps; raise InvalidFrame."""
        delivery = self._delivery
        match frame:
            case Subscribe(body):
                return self._answering(self._subscribe(body))
            case Unsubscribe(body):
                self._unsubscribe(body)
            case Resume():
                return self._answering(self._resume(frame))
            case Options():
                self._set_options(frame)
            case Ping(timestamp):
                delivery.answer(Pong(timestamp=timestamp, server_time=rfc3339(server_time)))
            case CommandFrame(_, body):
                return parse_command(body)
            case Acknowledge():
                return frame
            case Explain(body):
                return self._answering(self._explain(body))
            case _:
                assert_never(frame)
        return None

    def _answering(self, steps: Steps[None]) -> Steps[None]:
        try:
            yield from steps
        except InvalidFrame as error:
            self._delivery.answer(error_frame(error))

    def _decided(self, decide: Callable[[Viewer], Steps[T]]) -> Steps[T]:
        """Return what is decided for the viewer of the time when it is returned."""
        while True:
            viewer = self.viewer
            decision = yield from decide(viewer)
            if self.viewer is viewer:
                return decision

    def _subscribe(self, body: Body) -> Steps[None]:
        subscription = yield from self._decided(partial(admit_body_in_steps, body))
        self._check_limits(subscription, beside={})
        self._delivery.subscribe(subscription, snapshot=subscription.request.snapshot)

    def _explain(self, body: Body) -> Steps[None]:
        request = parse_request(body)
        decision = yield from self._decided(partial(admit_in_steps, request))
        self._delivery.answer(explained_frame(request.id, decision))

    def _resume(self, frame: Resume) -> Steps[None]:
        if len(frame.subscriptions) > self._max_subscriptions:
            raise self._too_many()
        resumed, refusals = yield from self._decided(partial(self._admit_all, frame.subscriptions))
        for refusal in refusals:
            self._delivery.answer(error_frame(refusal))
        self._delivery.resume(tuple(resumed.values()), frame.since)

    def _admit_all(
        self, bodies: Sequence[Body], viewer: Viewer
    ) -> Steps[tuple[dict[str, Subscription], list[InvalidFrame]]]:
        admitted: dict[str, Subscription] = {}
        refusals = []
        for body in bodies:
            try:
                subscription = yield from admit_body_in_steps(body, viewer)
                self._check_limits(subscription, beside=admitted)
            except InvalidFrame as refusal:
                refusals.append(refusal)
            else:
                admitted[subscription.request.id] = subscription
            yield
        return admitted, refusals

    def _check_limits(self, subscription: Subscription, *, beside: Mapping[str, Subscription]) -> None:
        """Raise InvalidFrame if there is no room for one more subscription, or instead of that with its id."""
        name, present = subscription.request.id, self._delivery.subscriptions
        held: dict[str, Subscription | None] = {held.id: held.granted for held in present.values()}
        held |= {**beside, name: subscription}
        if len(held) > self._max_subscriptions:
            raise self._too_many(name)
        if _count_filters(held.values()) > self._max_filters:
            raise _limit_exceeded(f"at most {self._max_filters} effective filters, of all subscriptions", name)
        replaced = [interval.granted for interval in self._delivery.replaced]
        replaced += [present[other].granted for other in (*beside, name) if other in present]
        if len(replaced) > self._max_subscriptions or _count_filters(replaced) > self._max_filters:
            raise _limit_exceeded("events of too many replaced subscriptions are still to be sent", name)

    def _too_many(self, name: str | None = None) -> InvalidFrame:
        return _limit_exceeded(f"at most {self._max_subscriptions} subscriptions", name)

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
    return complete(admit_body_in_steps(body, viewer))


def admit_body_in_steps(body: Body, viewer: Viewer) -> Steps[Subscription]:
    """Admit as `admit_body` does."""
    request = parse_request(body)
    match (yield from admit_in_steps(request, viewer)):
        case Subscription() as subscription:
            return subscription
        case NotGranted(witness, reason):
            detail = None if witness is None else {"witness": str(witness)}
            raise InvalidFrame(ErrorCode.FORBIDDEN, reason, id=request.id, detail=detail)


def _count_filters(granted: Iterable[Subscription | None]) -> int:
    return sum(0 if subscription is None else len(subscription.effective) for subscription in granted)


def _invalid_frame(error: SubscriptionError, body: Body) -> InvalidFrame:
    return InvalidFrame(ErrorCode(error.code), error.message, id=repeatable_id(body))


def _limit_exceeded(message: str, name: str | None) -> InvalidFrame:
    return InvalidFrame(ErrorCode.LIMIT_EXCEEDED, message, id=name)
