"""What the dashboard protocol wants done, as data: replies, and work for whoever holds the socket and the journal."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.protocol.client_frames import ResumePosition
from bridge.protocol.commands import CommandRequest
from bridge.protocol.server_frames import Close, ServerFrame


@dataclass(frozen=True, slots=True)
class Send:
    frame: ServerFrame


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Verify this token, then call `admitted` or `rejected`."""

    token: str


@dataclass(frozen=True, slots=True)
class EnablePush:
    """From here on the client may be told what it didn't ask for: first of all, the link."""


@dataclass(frozen=True, slots=True)
class StartSubscription:
    """Deliver what is committed from now on, after the snapshot or replay it `awaits`; one with the same id ends."""

    subscription: Subscription
    deferred: bool


@dataclass(frozen=True, slots=True)
class UpdateGrants:
    """Go on under the new grants at once; what waits and isn't granted any more is dropped. None: nothing of it is."""

    viewer: Viewer
    subscriptions: Mapping[str, Subscription | None]


@dataclass(frozen=True, slots=True)
class EndSubscription:
    id: str


@dataclass(frozen=True, slots=True)
class SendSnapshot:
    id: str


@dataclass(frozen=True, slots=True)
class ResumeFrom:
    """Answer `resumed`, then replay the streams that can be recovered, and send a snapshot of each id otherwise."""

    subscriptions: tuple[Subscription, ...]
    since: Mapping[str, ResumePosition]


@dataclass(frozen=True, slots=True)
class SetBatching:
    """How frames are put together from the next one on."""

    batch: bool
    batch_ms: int


@dataclass(frozen=True, slots=True)
class RunCommand:
    request: CommandRequest


@dataclass(frozen=True, slots=True)
class AcknowledgeEvent:
    """Command andon.acknowledge for the call of this event; id None: the client gave none."""

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
