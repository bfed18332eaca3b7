"""Cache of snapshots: which events they hold, for equal subscriptions."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.protocol.event_feed import SnapshotOffsets

# 8 for each offset: dashboards may all want something else. 100 of everything in a plant with 10,000 current events.
SNAPSHOTS_BYTES: Final = 8 * 1024 * 1024
SNAPSHOT_BYTES: Final = 600  # of each, beside its offsets and filters
FILTER_BYTES: Final = 400  # of each filter in the key of a snapshot


class SnapshotCache:
    """LRU cache of the latest snapshots, up to `SNAPSHOTS_BYTES`; equal subscriptions share one."""

    def __init__(self) -> None:
        self._snapshots = OrderedDict[Hashable, SnapshotOffsets]()  # the most recently used one at the end
        self._sizes = dict[Hashable, int]()
        self._bytes = 0

    def get(self, subscription: Subscription) -> SnapshotOffsets | None:
        key = subscription.cache_key
        snapshot = self._snapshots.get(key)
        if snapshot is not None:
            self._snapshots.move_to_end(key)
        return snapshot

    def put(self, subscription: Subscription, snapshot: SnapshotOffsets) -> None:
        """Cache a snapshot in the place of a former one; one that is too large for the cache is not kept."""
        key = subscription.cache_key
        self._bytes -= self._sizes.get(key, 0)
        self._snapshots[key] = snapshot
        self._snapshots.move_to_end(key)
        self._sizes[key] = SNAPSHOT_BYTES + 8 * len(snapshot.offsets) + FILTER_BYTES * len(subscription.effective)
        self._bytes += self._sizes[key]
        while self._bytes > SNAPSHOTS_BYTES:
            oldest, _ = self._snapshots.popitem(last=False)
            self._bytes -= self._sizes.pop(oldest)
