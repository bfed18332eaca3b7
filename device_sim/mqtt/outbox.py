"""The outbox of a connection: packets waiting to be published, in order of due time."""

import asyncio
import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from device_sim.devices.device import Packet

MAX_QUEUED: Final = 1_000  # packets waiting while the broker is slow; bounds the simulator's memory


@dataclass(order=True, slots=True)
class QueuedReport:
    """A packet that waits for its due time; equal times keep their order."""

    due: float  # by the event loop's clock
    order: int
    packet: Packet = field(compare=False)
    is_copy: bool = field(default=False, compare=False)


class DeviceOutbox:
    """Holds at most `MAX_QUEUED` packets until they are due."""

    def __init__(self) -> None:
        self._entries: list[QueuedReport] = []
        self._current: QueuedReport | None = None
        self._order = count()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, packet: Packet, due: float, *, is_copy: bool = False) -> None:
        """Add a packet; beyond `MAX_QUEUED`, drop the one due first."""
        if len(self._entries) >= MAX_QUEUED:
            dropped = heapq.heappop(self._entries).packet.true_report
            if dropped is not None and dropped.sent == 0:
                dropped.fate = "memory full"
        heapq.heappush(self._entries, QueuedReport(due, next(self._order), packet, is_copy))
        self._changed.set()

    def close(self) -> None:
        """Make `next` return packets without delay, and None once the outbox is empty."""
        self._ended = True
        self._changed.set()

    def reopen(self) -> None:
        self._ended = False

    async def next(self) -> QueuedReport | None:
        """Wait until a packet is due and return it; it counts as in flight until the next call."""
        self._current = None
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            if not self._entries:
                if self._ended:
                    return None
                await self._changed.wait()
                continue
            wait = self._entries[0].due - loop.time()
            if wait <= 0 or self._ended:
                self._current = heapq.heappop(self._entries)
                return self._current
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def drain(self) -> tuple[Packet | None, list[Packet]]:
        """Empty the outbox; return the packet in flight, if any, and those never sent. Copies are dropped."""
        current, self._current = self._current, None
        waiting = [entry.packet for entry in sorted(self._entries) if not entry.is_copy]
        self._entries.clear()
        return (None if current is None or current.is_copy else current.packet), waiting
