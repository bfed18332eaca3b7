"""An honest visitor beside an attack: asks whether the bridge is ready, and comes as a new dashboard."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from tests.support.bytes_dashboard import CLOSE, UPGRADE, encoded, masked
from tests.support.tokens import token

ASKED_PER_SECOND: Final = 10
PATIENCE_SECONDS: Final = 5.0
READY: Final = b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class Visits(NamedTuple):
    """What the visitor had: seconds of each answer, infinite where none came in `PATIENCE_SECONDS`."""

    readiness: list[float]
    newcomers: list[float]


async def visiting(port: int, health_port: int, seconds: int) -> Visits:
    """Ask for readiness ten times a second on connections of their own, and come as a dashboard once a second.

    `health_port`: that of `web.metrics_port`, where a plant has its health checks.
    """
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        readiness, newcomers = [], []
        for turn in range(seconds * ASKED_PER_SECOND):
            await asyncio.sleep(began + turn / ASKED_PER_SECOND - time.monotonic())
            readiness.append(tasks.create_task(_timed(health_port, _ask)))
            if turn % ASKED_PER_SECOND == 0:
                newcomers.append(tasks.create_task(_timed(port, _come)))
    return Visits([task.result() for task in readiness], [task.result() for task in newcomers])


Visit = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _timed(port: int, visit: Visit) -> float:
    began = time.monotonic()
    with contextlib.suppress(OSError, TimeoutError, EOFError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            try:
                await visit(reader, writer)
            finally:
                writer.transport.abort()
        return time.monotonic() - began
    return math.inf


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(READY)
    if b" 200 " not in await reader.readline():
        raise EOFError


async def _come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Authenticate by the first frame, and wait for the snapshot of a line."""
    subscription = {"type": "subscribe", "id": "mine", "subscription_type": "line", "target_id": "L2"}
    proof = token(user="newcomer", roles=("operator",), lines=["L2"])
    writer.write(UPGRADE + encoded({"type": "auth", "token": proof}, subscription))
    await reader.readuntil(b'"snapshot_end"')
    writer.write(masked(b"", CLOSE))
