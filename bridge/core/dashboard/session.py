"""What an admitted dashboard may ask, and what each question leads to (PROTOCOL, «Asking»).

Authority is a type: a `Session` is made from a `Viewer`, and nothing else can subscribe or command.
"""

from typing import assert_never

from bridge.core.access.grants import Refused
from bridge.core.access.subscriptions import (
    Admitted,
    Selection,
    admit_subscription,
    parse_subscription,
    parse_unsubscription,
    select_alike,
)
from bridge.core.access.targets import SubscriptionError
from bridge.core.access.viewer import Viewer
from bridge.core.dashboard.actions import (
    AcknowledgeEvent,
    Action,
    Follow,
    ResumeFrom,
    RunCommand,
    Send,
    SendSnapshot,
    SetBatch,
    Unfollow,
)
from bridge.core.dashboard.commands import parse_command
from bridge.core.dashboard.frames import (
    Acknowledge,
    Command,
    ErrorCode,
    Explain,
    InvalidFrame,
    Options,
    Ping,
    Resume,
    Subscribe,
    Unsubscribe,
)
from bridge.core.dashboard.regrant import Held, regrant
from bridge.core.dashboard.server_frames import (
    OptionsInForce,
    Pong,
    confirmation,
    end_confirmation,
    error_frame,
    explained,
)
from bridge.core.events import Millis, rfc3339

Asking = Subscribe | Unsubscribe | Resume | Options | Ping | Command | Acknowledge | Explain


class Session:
    """One viewer's subscriptions and options, from admission to the end of the connection."""

    def __init__(self, viewer: Viewer, *, max_subscriptions: int) -> None:
        self.viewer = viewer
        self.batch = SetBatch(batch=False, batch_ms=0)
        self._max_subscriptions = max_subscriptions  # bounds what one connection can put into every index
        self._held: Held = {}

    @property
    def subscriptions(self) -> list[Selection]:
        return [selection for selection, _ in self._held.values()]

    def refresh(self, viewer: Viewer) -> list[Action]:
        """The same user's new token: the subscriptions go on under its grants."""
        self.viewer = viewer
        return regrant(self._held, viewer)

    def serve(
        self,
        frame: Asking,
        server_time: Millis,
    ) -> list[Action]:
        match frame:
            case Subscribe(body):
                admitted = self._hold(admit(body, self.viewer))
                snapshot = [SendSnapshot(admitted.selection.id)] if admitted.selection.snapshot else []
                return [Follow(admitted, awaits=bool(snapshot)), Send(confirmation(admitted)), *snapshot]
            case Unsubscribe(body):
                return self._unsubscribe(body)
            case Resume():
                return self._resume(frame)
            case Options():
                return self._set_options(frame)
            case Ping(timestamp):
                return [Send(Pong(timestamp=timestamp, server_time=rfc3339(server_time)))]
            case Command(_, body):
                return [RunCommand(parse_command(body))]
            case Acknowledge(event_id, id=named):
                return [AcknowledgeEvent(named, event_id)]
            case Explain(body):
                selection = select(body)
                return [Send(explained(selection.id, admit_subscription(selection, self.viewer)))]
            case _:
                assert_never(frame)

    def _hold(self, admitted: Admitted) -> Admitted:
        name = admitted.selection.id
        if name not in self._held and len(self._held) >= self._max_subscriptions:
            raise InvalidFrame(ErrorCode.LIMIT_EXCEEDED, f"at most {self._max_subscriptions} subscriptions", id=name)
        self._held[name] = (admitted.selection, admitted)
        return admitted

    def _unsubscribe(self, body: dict[str, object]) -> list[Action]:
        try:
            meant = parse_unsubscription(body)
        except SubscriptionError as error:
            raise _invalid(error, body) from None
        if isinstance(meant, str):
            names = [meant] if meant in self._held else []
        else:
            names = [name for name, (selection, _) in self._held.items() if select_alike(selection, meant)]
        if not names:
            name = meant if isinstance(meant, str) else meant.id
            raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "no such subscription", id=name)
        actions: list[Action] = []
        for name in names:
            actions += [Unfollow(name), Send(end_confirmation(*self._held.pop(name)))]
        return actions

    def _resume(self, frame: Resume) -> list[Action]:
        if len(frame.subscriptions) > self._max_subscriptions:
            raise InvalidFrame(ErrorCode.LIMIT_EXCEEDED, f"at most {self._max_subscriptions} subscriptions")
        errors: list[Action] = []
        found: dict[str, Admitted] = {}
        for body in frame.subscriptions:
            try:
                admitted = self._hold(admit(body, self.viewer))
            except InvalidFrame as error:
                errors.append(Send(error_frame(error)))
            else:
                found[admitted.selection.id] = admitted
        follows = [Follow(admitted, awaits=True) for admitted in found.values()]
        return [*errors, *follows, ResumeFrom(tuple(found.values()), frame.since)]

    def _set_options(self, frame: Options) -> list[Action]:
        former = self.batch
        self.batch = SetBatch(
            batch=former.batch if frame.batch is None else frame.batch,
            batch_ms=former.batch_ms if frame.batch_ms is None else frame.batch_ms,
        )
        # The answer still has the form in force before it.
        return [Send(OptionsInForce(batch=self.batch.batch, batch_ms=self.batch.batch_ms)), self.batch]


def select(body: dict[str, object]) -> Selection:
    """The selection of a subscribe body; raises InvalidFrame."""
    try:
        return parse_subscription(body)
    except SubscriptionError as error:
        raise _invalid(error, body) from None


def admit(body: dict[str, object], viewer: Viewer) -> Admitted:
    """What of a subscribe body this viewer gets; raises InvalidFrame, with the witness of a refusal."""
    selection = select(body)
    match admit_subscription(selection, viewer):
        case Admitted() as admitted:
            return admitted
        case Refused(witness, reason):
            detail = None if witness is None else {"witness": str(witness)}
            raise InvalidFrame(ErrorCode.FORBIDDEN, reason, id=selection.id, detail=detail)


def _invalid(error: SubscriptionError, body: dict[str, object]) -> InvalidFrame:
    name = body.get("id")
    return InvalidFrame(ErrorCode(error.code), error.message, id=name if isinstance(name, str) else None)
