"""Queue of one dashboard's requests, which are served in order, and the progress of a snapshot to it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.records import CommittedEvent
from bridge.protocol.cohort import Batching
from bridge.protocol.event_feed import CheckResume, SnapshotOffsets
from bridge.protocol.event_selectors import ActiveSubscription, match_the_same
from bridge.protocol.server_frames import Close, SnapshotBegin, SnapshotEnd, encode_frame, stream_positions
from bridge.protocol.subscription_table import NO_OFFSET_YET

MAX_QUEUED_REQUESTS: Final = 256  # for a client that sends requests and does not read
MAX_ANSWER_BYTES: Final = 16_384  # of all queued answers; a single answer may be larger
MAX_ANSWERS_PER_WRITE: Final = 256
CHUNK_EVENTS: Final = 16  # in memory at once, of the 256 KiB that a stalled dashboard may cost

Request = bytes | Batching | ActiveSubscription | CheckResume | Close
"""An answer, a change of the format, a snapshot of a subscription, a resume, or the end of the connection.

A subscription that has ended by its turn, or was replaced by one with the same id, gets no snapshot.
"""


class RequestQueue:
    """Encoded answers and other requests, in order. Answers are charged by their bytes."""

    __slots__ = ("_answer_bytes", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()
        self._answer_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, request: Request) -> bool:
        return request in self._waiting

    @property
    def head(self) -> Request | None:
        return self._waiting[0] if self._waiting else None

    @property
    def is_full(self) -> bool:
        """Return whether no more requests may be read from the client."""
        return len(self._waiting) >= MAX_QUEUED_REQUESTS or self._answer_bytes >= MAX_ANSWER_BYTES

    def put(self, request: Request) -> None:
        self._waiting.append(request)
        if isinstance(request, bytes):
            self._answer_bytes += len(request)

    def put_first(self, request: Request) -> None:
        self._waiting.appendleft(request)

    def take(self) -> Request:
        request = self._waiting.popleft()
        if isinstance(request, bytes):
            self._answer_bytes -= len(request)
        return request

    def take_answers(self) -> list[bytes]:
        """Take the answers at the head, up to the next request of another kind."""
        answers: list[bytes] = []
        while self._waiting and len(answers) < MAX_ANSWERS_PER_WRITE and isinstance(answer := self._waiting[0], bytes):
            self.take()
            answers.append(answer)
        return answers


@dataclass(slots=True, eq=False)
class SnapshotProgress:
    """A snapshot of one subscription, as it is `granted` while the current events are read."""

    subscription: ActiveSubscription
    granted: Subscription | None
    offsets: SnapshotOffsets | None = None
    next_index: int = 0
    count: int = 0

    @property
    def position(self) -> int:
        """Return the offset at which its events are current."""
        assert self.offsets is not None, "it was read"
        return self.offsets.position.offset

    @property
    def is_outdated(self) -> bool:
        """Return whether other events are granted now than when it was read."""
        return not match_the_same(self.subscription.granted, self.granted)

    def begin(self) -> bytes:
        """Return the first frame; the subscription selects what follows, unless it has begun before."""
        assert self.offsets is not None, "it was read"
        if self.subscription.after == NO_OFFSET_YET:
            self.subscription.after = self.position
        return encode_frame(SnapshotBegin(id=self.subscription.id, positions=stream_positions(self.offsets.position)))

    def next_chunk(self) -> Sequence[int]:
        """Return the offsets to write next, none after the last."""
        assert self.offsets is not None, "it was read"
        return self.offsets.offsets[self.next_index : self.next_index + CHUNK_EVENTS]

    def bodies(self, events: Sequence[CommittedEvent]) -> list[bytes]:
        """Return the bodies of a chunk that are granted now, and count them."""
        self.next_index += CHUNK_EVENTS
        if self.is_outdated:
            events = [event for event in events if self.subscription.matches(event)]
        bodies = [event.body for event in events]
        self.count += len(bodies)
        return bodies

    def end(self) -> bytes:
        return encode_frame(SnapshotEnd(id=self.subscription.id, count=self.count))
