"""Progress of one snapshot to one dashboard: what it holds, and how much of it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.records import CommittedEvent
from bridge.protocol.delivery_outputs import SnapshotOffsets
from bridge.protocol.server_frames import SnapshotBegin, SnapshotEnd, encode_frame, stream_positions
from bridge.protocol.subscription_table import NO_OFFSET_YET, ActiveSubscription, match_the_same

CHUNK_EVENTS: Final = 16  # in memory at once, of the 256 KiB that a stalled dashboard may cost


@dataclass(slots=True, eq=False)
class SnapshotProgress:
    """A snapshot of one subscription, as it is `granted` while the current events are read."""

    subscription: ActiveSubscription
    granted: Subscription | None
    offsets: SnapshotOffsets | None = None
    next_index: int = -1  # -1: the first frame is to be written
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
        self.next_index = 0
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
        bodies = [event.body for event in events if not self.is_outdated or self.subscription.matches(event)]
        self.count += len(bodies)
        return bodies

    def end(self) -> bytes:
        return encode_frame(SnapshotEnd(id=self.subscription.id, count=self.count))
