"""threats.md, «Faults»: no file descriptors. New dashboards are refused, others are served; it recovers by itself."""

import asyncio
import contextlib
import json
import time
from pathlib import Path

from tests.support.brokers import until
from tests.support.bytes_dashboard import BytesDashboard, connect, encoded
from tests.support.front_process import FrontProcess, front_process
from tests.support.tokens import token

NEWCOMERS = 30
ROOM = 5


async def load_of_commits(process: FrontProcess) -> float:
    """Return the share of a processor that serving twenty commits in a second takes, however long it takes here."""
    began, used = time.monotonic(), process.cpu_seconds
    await process.commit(20, lines=2, pause_ms=50)
    return (process.cpu_seconds - used) / (time.monotonic() - began)


async def test_without_descriptors_newcomers_are_refused_and_others_are_served_on(tmp_path: Path) -> None:
    received: list[bytes] = []
    late: list[BytesDashboard] = []
    first = encoded(
        {"type": "auth", "token": token()},
        {"type": "subscribe", "id": "all", "subscription_type": "line", "snapshot": False},
    )
    snapshot = encoded({"type": "auth", "token": token()}, {"type": "subscribe", "subscription_type": "line"})
    served: dict[BytesDashboard, None] = {}

    def take(dashboard: BytesDashboard, text: bytes) -> None:
        if b'"snapshot_end"' in text:
            served[dashboard] = None

    async with front_process(tmp_path) as process:
        old = await connect(process.port, first, lambda _, text: received.append(text))
        await until(lambda: any(b"subscription_confirmed" in text for text in received), what="the subscription")
        usual = await load_of_commits(process)
        process.allow_descriptors(ROOM)
        for _ in range(NEWCOMERS):
            with contextlib.suppress(OSError):
                late.append(await connect(process.port, snapshot, take))
        await asyncio.wait_for(process.commit(20, lines=2), 30)
        await until(lambda: b'"offset":40' in b"".join(received), what="the events on the earlier connections")
        assert await load_of_commits(process) < max(0.5, 3 * usual), "it waits for descriptors, it does not spin"
        assert not old.is_closed
        assert (await process.statistics())["connections"] <= 1 + ROOM
        process.allow_descriptors(1_000)
        for board in late:
            board.abort()
        healed = await connect(process.port, snapshot, take)
        await until(lambda: healed in served, what="a newcomer with a snapshot")
        await process.commit(1, lines=2)
        await until(lambda: b'"offset":61' in b"".join(received), what="events after it healed")
        assert not old.is_closed
        assert json.loads(received[-1])["type"] != "error"
