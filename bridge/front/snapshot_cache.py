"""Current events at one position, and their matches per subscription: built once for equal subscriptions."""

import asyncio
from array import array
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.records import CommittedEvent, Position, Snapshot
from bridge.protocol.delivery_outputs import SnapshotOffsets

YIELD_EVERY: Final = 256  # events matched before other tasks run


@dataclass(frozen=True, slots=True)
class CurrentEvents:
    """All current events at one position, by offset, oldest first. `offsets_cache` holds snapshots by `cache_key`."""

    position: Position
    events: Mapping[int, CommittedEvent]
    offsets_cache: dict[Hashable, SnapshotOffsets] = field(default_factory=dict)

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot, former: "CurrentEvents | None") -> "CurrentEvents":
        """Create from a snapshot; events already in `former` are shared, not copied."""
        former_events = former.events if former is not None else {}
        events = {event.offset: former_events.get(event.offset, event) for event in snapshot.events}
        return cls(snapshot.position, events)

    async def matching_offsets(self, subscription: Subscription) -> SnapshotOffsets:
        offsets = array("q")
        for number, event in enumerate(self.events.values(), start=1):
            if subscription.matches(event.topic, audience=event.audience):
                offsets.append(event.offset)
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return SnapshotOffsets(self.position, offsets)
