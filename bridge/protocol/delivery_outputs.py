"""Requests of a delivery to the side that has sockets and a journal, beside bytes to write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.records import CommittedEvent, Position
from bridge.protocol.client_frames import ResumePosition
from bridge.protocol.event_cache import EventPage
from bridge.protocol.server_frames import Close
from bridge.protocol.subscription_table import ActiveSubscription


@dataclass(frozen=True, slots=True)
class SnapshotOffsets:
    """Offsets of the events in one snapshot, oldest first.

    Offsets, because a stalled dashboard would keep events in memory: a plant changes all its states within seconds, and
    each dashboard may be stalled in a different snapshot.
    """

    position: Position
    offsets: Sequence[int]


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Read the page with the event after this offset: an `EventPage`, None if the journal does not hold it."""

    after: int


@dataclass(frozen=True, slots=True)
class ReadSnapshot:
    """Read the current events, at this offset or later, that match: `SnapshotOffsets`."""

    subscription: Subscription | None
    at_least: int


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """Read these events: all of them, or fewer where retention has deleted some."""

    offsets: Sequence[int]


@dataclass(frozen=True, slots=True)
class CheckResume:
    """Ask whether the journal holds all after these positions: the offset to replay from, None if it does not.

    It is the request of a client, too: `subscriptions` are resumed where they are still in force by its turn.
    """

    since: Mapping[str, ResumePosition]
    subscriptions: tuple[ActiveSubscription, ...]
    admitted: tuple[Subscription, ...]  # these, as the answer confirms them


@dataclass(frozen=True, slots=True)
class TakeTurns:
    """Go on later: others wait."""


Read = ReadPage | ReadSnapshot | ReadEvents | CheckResume
ReadResult = EventPage | SnapshotOffsets | Sequence[CommittedEvent] | int | None
Output = bytes | Read | TakeTurns | Close
