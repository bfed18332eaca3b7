"""Control of concurrency in tests: a gate before a read of the journal, and turns of the event loop."""

import asyncio
import threading
from typing import Any, Literal

from tests.front.memory_front import MemoryFront
from tests.support.dashboard import PATIENCE, Frame

Reading = Literal["snapshot", "events_after", "oldest_offset", "command"]


class JournalGate:
    """Holds the journal's next read of a kind, before it reads or after, until the test opens."""

    def __init__(self, front: MemoryFront, reading: Reading, *, after: bool) -> None:
        self._read: Any = getattr(front.journal, reading)
        self._after = after
        self._reached = threading.Event()
        self._open = threading.Event()
        setattr(front.journal, reading, self)

    def __call__(self, *args: Any, **options: Any) -> Any:
        result = self._read(*args, **options) if self._after else None
        self._reached.set()
        assert self._open.wait(PATIENCE)
        return result if self._after else self._read(*args, **options)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, PATIENCE)

    def open(self) -> None:
        self._open.set()


def andon(line: str) -> Frame:
    return {"type": "subscribe", "id": line, "subscription_type": "andon", "target_id": line}


async def let_the_front_run() -> None:
    """Let every task that can run do so; nothing here depends on how long that takes."""
    for _ in range(20):
        await asyncio.sleep(0)
