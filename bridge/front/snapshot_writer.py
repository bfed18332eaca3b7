"""One snapshot onto one socket: begun, each current event that is granted still when its turn comes, and ended."""

import asyncio
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.front.event_cache import parse_topic
from bridge.front.frame_writer import ConnectionEnded, FrameWriter
from bridge.front.journal_reads import FrontJournal
from bridge.front.snapshot_cache import YIELD_EVERY, SnapshotOffsets
from bridge.protocol.active_subscription import ActiveSubscription
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.server_frames import Close, SnapshotBegin, SnapshotEnd, stream_positions

SNAPSHOT_CHUNK: Final = (
    16  # events held at once for one that is stuck: of a stalled dashboard's 256 KiB, beside its outbox
)


async def write_snapshot(
    writer: FrameWriter,
    journal: FrontJournal,
    snapshot: SnapshotOffsets,
    subscription: ActiveSubscription,
    *,
    granted: Subscription | None,
) -> None:
    """Write what was `built` as `admitted`; grants and the subscription may change, or end, while it is on its way."""
    await writer.write_frames(SnapshotBegin(id=subscription.id, positions=stream_positions(snapshot.position)))
    count = 0
    for start in range(0, len(snapshot.offsets), SNAPSHOT_CHUNK):
        if start % YIELD_EVERY == 0:
            await asyncio.sleep(0)  # a socket that never waits would keep the loop from everybody else
        offsets = snapshot.offsets[start : start + SNAPSHOT_CHUNK]
        events = journal.cached_events(offsets)
        if events is None:
            events = await writer.await_read(journal.read_events(offsets))
            if len(events) != len(offsets):  # retention overtook a snapshot: it must hear so, not miss one
                raise ConnectionEnded(Close(CloseCode.STALLED, "too far behind, resume"))
        bodies = (
            event.body
            for event in events
            if subscription.subscription is granted or subscription.matches(event, parse_topic(event.topic))
        )
        count += await writer.write_each(bodies)
    await writer.write_frames(SnapshotEnd(id=subscription.id, count=count))
