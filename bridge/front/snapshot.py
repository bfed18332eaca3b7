"""One snapshot onto one socket: begun, each current event that is granted still when its turn comes, and ended."""

import asyncio
from typing import Final

from bridge.core.access.subscriptions import Admitted
from bridge.core.dashboard.following import Following
from bridge.core.dashboard.frames import CloseCode
from bridge.core.dashboard.server_frames import Close, SnapshotBegin, SnapshotEnd, stream_at
from bridge.front.current import STEP, Built
from bridge.front.journal import FrontJournal
from bridge.front.recent import name_of
from bridge.front.writer import Ended, FrameWriter

PIECE: Final = 16  # events held at once for one that is stuck: of a stalled dashboard's 256 KiB, beside its outbox


async def write_snapshot(
    writer: FrameWriter, journal: FrontJournal, built: Built, following: Following, *, admitted: Admitted | None
) -> None:
    """Write what was `built` as `admitted`; grants and the subscription may change, or end, while it is on its way."""
    await writer.write_frames(SnapshotBegin(id=following.id, positions=stream_at(built.position)))
    count = 0
    for start in range(0, len(built.offsets), PIECE):
        if start % STEP == 0:
            await asyncio.sleep(0)  # a socket that never waits would keep the loop from everybody else
        offsets = built.offsets[start : start + PIECE]
        events = journal.held(offsets)
        if events is None:
            events = await writer.meanwhile(journal.read_again(offsets))
            if len(events) != len(offsets):  # retention overtook a snapshot: it must hear so, not miss one
                raise Ended(Close(CloseCode.STALLED, "too far behind, resume"))
        bodies = (
            event.body
            for event in events
            if following.admitted is admitted or following.admits(event, name_of(event.topic))
        )
        count += await writer.write_each(bodies)
    await writer.write_frames(SnapshotEnd(id=following.id, count=count))
