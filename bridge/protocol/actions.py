"""Actions that the dashboard protocol returns, as data: frames to send, and work on the socket and the journal."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.protocol.client_frames import ResumePosition
from bridge.protocol.commands import CommandRequest
from bridge.protocol.server_frames import Close, ServerFrame


@dataclass(frozen=True, slots=True)
class Send:
    """A frame to send; the order of the actions is the order on the wire."""

    frame: ServerFrame


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Request to verify this token, and then to call `accept` or `reject`."""

    token: str


@dataclass(frozen=True, slots=True)
class EnablePush:
    """Permission to send unrequested frames from here on, starting with the link frame."""


@dataclass(frozen=True, slots=True)
class StartSubscription:
    """Start of a subscription, which replaces one with the same id.

    It delivers events committed from now on, or, if `deferred`, from its snapshot or replay on.
    """

    subscription: Subscription
    deferred: bool


@dataclass(frozen=True, slots=True)
class UpdateGrants:
    """New grants, in force at once: queued events that are no longer granted are dropped.

    A subscription is None when nothing of it is granted.
    """

    viewer: Viewer
    subscriptions: Mapping[str, Subscription | None]


@dataclass(frozen=True, slots=True)
class EndSubscription:
    """End of the subscription with this id."""

    id: str


@dataclass(frozen=True, slots=True)
class SendSnapshot:
    """Request to send a snapshot of the subscription with this id."""

    id: str


@dataclass(frozen=True, slots=True)
class ResumeFrom:
    """Request to answer `resumed`, then to replay the recoverable streams, or else to send a snapshot of each id."""

    subscriptions: tuple[Subscription, ...]
    since: Mapping[str, ResumePosition]


@dataclass(frozen=True, slots=True)
class SetBatching:
    """Batching options, in force from the next frame on."""

    batch: bool
    batch_ms: int


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Request to publish a command, and to answer with its result."""

    request: CommandRequest


@dataclass(frozen=True, slots=True)
class AcknowledgeEvent:
    """Command andon.acknowledge for the call of this event; `id` is None when the client sent none."""

    id: str | None
    event_id: str


Action = (
    Send
    | Authenticate
    | EnablePush
    | StartSubscription
    | UpdateGrants
    | EndSubscription
    | SendSnapshot
    | ResumeFrom
    | SetBatching
    | RunCommand
    | AcknowledgeEvent
    | Close
)
