"""Writer of one snapshot to one socket: begin frame, the current events still granted when written, end frame."""

import asyncio
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.front.frame_writer import ConnectionEnded, FrameWriter
from bridge.front.journal_reads import FrontJournal
from bridge.front.snapshot_cache import YIELD_EVERY, SnapshotOffsets
from bridge.protocol.active_subscriptions import ActiveSubscription
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.server_frames import Close, SnapshotBegin, SnapshotEnd, stream_positions

SNAPSHOT_CHUNK: Final = 16  # events in memory at once, of the 256 KiB that a stalled dashboard may cost


async def write_snapshot(
    writer: FrameWriter,
    journal: FrontJournal,
    snapshot: SnapshotOffsets,
    subscription: ActiveSubscription,
    *,
    granted: Subscription | None,
) -> None:
    """Write a snapshot built for `granted`; grants may change, and the subscription may end, meanwhile."""
    await writer.write_frames(SnapshotBegin(id=subscription.id, positions=stream_positions(snapshot.position)))
    count = 0
    for start in range(0, len(snapshot.offsets), SNAPSHOT_CHUNK):
        if start % YIELD_EVERY == 0:
            await asyncio.sleep(0)  # a socket that never waits would block all other tasks
        offsets = snapshot.offsets[start : start + SNAPSHOT_CHUNK]
        events = journal.cached_events(offsets)
        if events is None:
            events = await writer.await_read(journal.read_events(offsets))
            if len(events) != len(offsets):  # deleted by retention: close, so that the client notices
                raise ConnectionEnded(Close(CloseCode.STALLED, "too far behind, resume"))
        bodies = (event.body for event in events if subscription.subscription is granted or subscription.matches(event))
        count += await writer.write_each(bodies)
    await writer.write_frames(SnapshotEnd(id=subscription.id, count=count))
