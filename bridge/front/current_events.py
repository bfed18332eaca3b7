"""Current events of a front's journal: read once, then kept up to date by the events that the front delivers."""

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.events import Standing
from bridge.domain.records import CommittedEvent, Position, Snapshot
from bridge.ports.clock import perf_counter_ms
from bridge.protocol.event_feed import SnapshotOffsets

YIELD_EVERY: Final = 256  # events matched before other tasks run
KEEP_EVENTS: Final = 10_000  # after a snapshot, during which replaced events are kept, because it is still being sent

_CURRENT: Final = Standing.CURRENT  # one lookup for each event less
_HISTORY: Final = Standing.HISTORY


class CurrentEvents:
    """All current events at `position`, which `advance` moves.

    Up to `kept_bytes` of events that were current in a snapshot and are replaced remain in memory for a while.
    """

    def __init__(self, snapshot: Snapshot, *, kept_bytes: int) -> None:
        self.position = snapshot.position
        self._events: dict[int, CommittedEvent] = {event.offset: event for event in snapshot.events}  # oldest first
        self._offsets = {event.state_key: event.offset for event in snapshot.events}
        self._replaced = OrderedDict[int, CommittedEvent]()  # the latest one at the end
        self._replaced_bytes = 0
        self._kept_bytes = kept_bytes
        self._keep_until = 0  # the offset after which nothing that is replaced is kept

    def advance(self, delivered: Sequence[CommittedEvent]) -> None:
        """Apply the events that are delivered next.

        A read may be ahead of delivery. What it holds already changes nothing if all that follows is applied too.
        """
        here, events, offsets = self.position, self._events, self._offsets
        if not delivered or delivered[-1].offset <= here.offset:
            return
        keep = here.offset < self._keep_until
        for event in delivered:
            standing = event.standing
            if standing is _HISTORY:
                continue
            key = event.topic.state_key
            former = offsets.pop(key, None)
            if former is not None:
                replaced = events.pop(former)
                if keep:
                    self._keep(replaced)
            if standing is _CURRENT:
                offsets[key] = event.offset
                events[event.offset] = event
        self.position = Position(here.stream, here.epoch, delivered[-1].offset)
        if self._replaced and not keep:
            self._replaced.clear()
            self._replaced_bytes = 0

    def _keep(self, replaced: CommittedEvent) -> None:
        self._replaced[replaced.offset] = replaced
        self._replaced_bytes += replaced.memory_bytes
        while self._replaced_bytes > self._kept_bytes:
            _, oldest = self._replaced.popitem(last=False)
            self._replaced_bytes -= oldest.memory_bytes

    def snapshot(self) -> Snapshot:
        """Return the current events, as `ReadableJournal.snapshot` does."""
        return Snapshot(self.position, tuple(self._events.values()))

    def events_at(self, offsets: Sequence[int]) -> Sequence[CommittedEvent] | None:
        """Return the events at these offsets, which were current in a snapshot; None unless all are in memory."""
        found = [self._events.get(offset) or self._replaced.get(offset) for offset in offsets]
        events = [event for event in found if event is not None]
        return events if len(events) == len(offsets) else None

    async def matching_offsets(
        self, subscription: Subscription, former: SnapshotOffsets | None, *, charge: Callable[[float], None]
    ) -> SnapshotOffsets:
        """Return the offsets of the events that match at the position of the call.

        `former` is an earlier snapshot of an equal subscription: only what was committed since is matched. `charge`
        takes the ms of each part of the work.
        """
        began = perf_counter_ms()
        position, since = self.position, 0 if former is None else former.position.offset
        self._keep_until = position.offset + KEEP_EVENTS
        offsets = array("q", () if former is None else filter(self._events.__contains__, former.offsets))
        newest_first = list(takewhile(lambda event: event.offset > since, reversed(self._events.values())))
        for number, event in enumerate(reversed(newest_first), start=1):
            if subscription.admits(event):
                offsets.append(event.offset)
            if number % YIELD_EVERY == 0:
                charge(perf_counter_ms() - began)
                await asyncio.sleep(0)
                began = perf_counter_ms()
        charge(perf_counter_ms() - began)
        return SnapshotOffsets(position, offsets)
