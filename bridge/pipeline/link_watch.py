"""Watch over the link to the broker: while an outage lasts, nobody watches the floor."""

import asyncio
from typing import Final

from bridge.surroundings import Source

LOST_SECONDS: Final = 5.0
"""Of real time, like every other time that is about the link. Less changes nothing: the broker keeps what is sent."""


class LinkWatch:
    """Says once for each outage when it has lasted. Before the first connection it counts from the start."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._began: float | None = None
        self._noted = False

    def is_lost(self) -> bool:
        """Return True once for each outage, as soon as it has lasted."""
        if self._source.status.connected:
            self._noted = False
            return False
        if self._noted or self._left() > 0:
            return False
        self._noted = True
        return True

    def seconds_to_next(self) -> float:
        """Return how soon to look again."""
        if self._source.status.connected or self._noted:
            return LOST_SECONDS / 5  # the link may get lost meanwhile
        return max(0.0, self._left())

    def _left(self) -> float:
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        return max(self._began, self._source.status.since) + LOST_SECONDS - now
