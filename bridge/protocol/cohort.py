"""Cohort: up-to-date dashboards that want the same, for which an event is queued, encoded and counted once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Generic, TypeVar

from bridge.domain.event_topic import StateKey
from bridge.domain.records import CommittedEvent, merge_by_offset
from bridge.protocol.event_feed import EventFeed
from bridge.protocol.ledger import Ledger
from bridge.protocol.websocket_frames import array_frames, text_frames

UNBATCHED_MS: Final = 5  # for which a state waits for company without batching; its frames then go out in one write
FLUSH_BYTES: Final = 65_536  # of events that wait; of the 256 KiB that a stalled dashboard may cost

R = TypeVar("R")


class FlushDue(Enum):
    """When a cohort must be flushed after an event was added."""

    BUFFER_FULL = auto()  # before another event is added: it holds `FLUSH_BYTES`
    AFTER_COMMIT = auto()  # when the whole commit has been added: an alarm does not wait
    IN_WINDOW = auto()  # when its window ends, which begins now
    SCHEDULED = auto()  # when its window ends, which has begun


@dataclass(frozen=True, slots=True)
class Batching:
    """How events are written: in JSON arrays or as frames of their own, and how long a state waits for company."""

    arrays: bool = False
    window_ms: int = UNBATCHED_MS

    def frames(self, objects: Sequence[bytes]) -> bytes:
        """Return the WebSocket frames of these encoded objects."""
        return array_frames(objects) if self.arrays else text_frames(objects)


@dataclass(slots=True, eq=False)
class Membership(Generic[R]):
    """One dashboard's time in a cohort. `joined_ledger` is the cohort's, as it was then."""

    cohort: "Cohort[R]"
    recipient: R
    expires_at: int  # of the recipient's token, ms since the Unix epoch
    joined_ledger: Ledger
    seen_flushes: int

    @property
    def ledger(self) -> Ledger:
        """Return the outcomes of this membership."""
        return self.cohort.ledger.since(self.joined_ledger)


class Cohort(Generic[R]):
    """Members with one key: equal filters, masks and batching.

    Everything up to `flushed_offset` was written to every member, or conflated.
    """

    __slots__ = (
        "_bytes",
        "_conflated",
        "_feed",
        "_latest",
        "_ledger_copy",
        "_lossless",
        "_window_start",
        "batching",
        "earliest_expiry",
        "flushes",
        "joining",
        "ledger",
        "members",
        "subscription_keys",
        "total",
    )

    def __init__(
        self, subscription_keys: frozenset[Hashable], batching: Batching, feed: EventFeed, *, total: Ledger
    ) -> None:
        self.subscription_keys = subscription_keys  # the `cache_key` of each distinct subscription
        self.batching = batching
        self.members: dict[Membership[R], None] = {}
        self.joining: dict[R, None] = {}  # who is up to date, and joins when the events that wait are flushed
        self.ledger = Ledger()  # of one who is a member from the first event on
        self.total = total  # of all members of all cohorts: what is sent counts once for each
        self.flushes = 0
        self.earliest_expiry = 2**63  # ms since the Unix epoch: no member's token expires before
        self._feed = feed
        self._lossless: list[CommittedEvent] = []
        self._latest = dict[StateKey, CommittedEvent]()  # ascending: a key with a later event moves to the end
        self._conflated: list[CommittedEvent] = []  # since the last flush: who leaves before it meets them again
        self._bytes = 0
        self._window_start: int | None = None  # the offset before the first event of this window
        self._ledger_copy: Ledger | None = None

    def join(self, recipient: R, *, expires_at: int) -> Membership[R]:
        """Add a member that has got all up to `flushed_offset`; no event may wait."""
        assert self._window_start is None, "it has got the events that wait"
        if self._ledger_copy is None:
            self._ledger_copy = self.ledger.copy()  # shared by all who join before the next flush
        membership = Membership(self, recipient, expires_at, self._ledger_copy, self.flushes)
        self.members[membership] = None
        self.earliest_expiry = min(self.earliest_expiry, expires_at)
        return membership

    def find_earliest_expiry(self) -> None:
        """Set `earliest_expiry` again, after members have left."""
        self.earliest_expiry = min((membership.expires_at for membership in self.members), default=2**63)

    @property
    def key(self) -> tuple[frozenset[Hashable], Batching]:
        """Return what members have in common."""
        return self.subscription_keys, self.batching

    @property
    def flushed_offset(self) -> int:
        return self._feed.offset if self._window_start is None else self._window_start

    @property
    def is_waiting(self) -> bool:
        """Return whether events wait to be flushed."""
        return self._window_start is not None

    def add(self, event: CommittedEvent) -> FlushDue:
        """Queue an event that all members select."""
        is_first = self._window_start is None
        if is_first:
            self._window_start = event.offset - 1
        self._bytes += len(event.body)
        if event.is_lossless:
            self._lossless.append(event)
        else:
            former = self._latest.pop(event.topic.state_key, None)
            self._latest[event.topic.state_key] = event
            if former is not None:
                self._bytes -= len(former.body)
                self._conflated.append(former)
        if self._bytes > FLUSH_BYTES:
            return FlushDue.BUFFER_FULL
        if self._lossless or not self.batching.window_ms:
            return FlushDue.AFTER_COMMIT
        return FlushDue.IN_WINDOW if is_first else FlushDue.SCHEDULED

    def waiting_frames(self) -> bytes:
        """Return the frames of all that waits, by offset. Write them to every member, then call `end_flush`."""
        if not self._lossless:
            events = list(self._latest.values())
        elif not self._latest:
            events = self._lossless
        else:
            events = list(merge_by_offset(self._lossless, self._latest.values()))
        return self.batching.frames([event.body for event in events])

    def end_flush(self) -> None:
        """Count all that waited as sent to every member; one to whom it could not be written has left."""
        for ledger, times in ((self.ledger, 1), (self.total, len(self.members))):
            ledger.count_sent(self._lossless, times=times)
            ledger.count_sent(self._latest.values(), times=times)
            ledger.count_conflated(self._conflated, times=times)
        self._ledger_copy = None
        self.flushes += 1
        self._lossless, self._latest, self._conflated, self._bytes, self._window_start = [], {}, [], 0, None
