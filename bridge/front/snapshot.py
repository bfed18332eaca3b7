"""One snapshot onto one socket: begun, each current event that is granted still when its turn comes, and ended."""

from bridge.core.dashboard.following import Following
from bridge.core.dashboard.server_frames import SnapshotBegin, SnapshotEnd, stream_at
from bridge.front.current import Built
from bridge.front.recent import name_of
from bridge.front.writer import FrameWriter


async def write_snapshot(writer: FrameWriter, built: Built, following: Following) -> None:
    """Write it from begin to end; grants and the subscription may change, or end, while it is on its way."""
    admitted = following.admitted
    await writer.write_frames(SnapshotBegin(id=following.id, positions=stream_at(built.position)))
    bodies = (
        event.body
        for event in built.events
        if following.admitted is admitted or following.admits(event, name_of(event.topic))
    )
    count = await writer.write_each(bodies)
    await writer.write_frames(SnapshotEnd(id=following.id, count=count))
