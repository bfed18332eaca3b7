"""Outages of the link to the broker that are long enough to be an input."""

import asyncio
from typing import Final

from bridge.ports.broker import MessageSource

OUTAGE_SECONDS: Final = 5.0
"""Real time, like every other time about the link. A shorter outage changes nothing: the broker keeps what is sent."""


class LinkOutageDetector:
    """Detects outages of the link, each once. Before the first connection it counts from the start."""

    def __init__(self, source: MessageSource) -> None:
        self._source = source
        self._began: float | None = None
        self._noted = False

    def detect_outage(self) -> bool:
        """Return True once per outage, as soon as it has lasted `OUTAGE_SECONDS`."""
        if self._source.status.connected:
            self._noted = False
            return False
        if self._noted or self._seconds_left() > 0:
            return False
        self._noted = True
        return True

    def seconds_to_next(self) -> float:
        """Return the seconds until the next check."""
        if self._source.status.connected or self._noted:
            return OUTAGE_SECONDS / 5  # the link may get lost meanwhile
        return max(0.0, self._seconds_left())

    def _seconds_left(self) -> float:
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        return max(self._began, self._source.status.since) + OUTAGE_SECONDS - now
