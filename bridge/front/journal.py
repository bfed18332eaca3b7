"""What the front reads from the journal: off the loop, bounded, and shared where many ask the same at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.records import CommandRecord, Committed, Journal, Position
from bridge.core.topics import TopicName


@dataclass(frozen=True, slots=True)
class Current:
    """All current events at one position, oldest first, each with its topic parsed."""

    position: Position
    events: tuple[tuple[Committed, TopicName], ...]


class FrontJournal:
    """`position` is that of the last event offered to the front: all before it has been matched or can be read."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.position = journal.position()
        self._current: Current | None = None
        self._reading = asyncio.Lock()

    def advance(self, offset: int) -> None:
        self.position = Position(self.position.stream, self.position.epoch, offset)

    async def current(self, *, at_least: int) -> Current:
        """A snapshot at this offset or later, where it was committed before; one read serves all who ask meanwhile."""
        async with self._reading:
            # Whoever waited for the lock finds what was read since, and mostly it is new enough.
            if self._current is None or self._current.position.offset < at_least:
                self._current = await asyncio.to_thread(self._read_current)
            return self._current

    async def events_after(self, offset: int, *, limit: int) -> Sequence[Committed]:
        return await asyncio.to_thread(self._journal.events_after, offset, limit=limit)

    async def oldest_offset(self) -> int:
        return await asyncio.to_thread(self._journal.oldest_offset)

    async def command(self, user: str, command_id: str) -> CommandRecord | None:
        return await asyncio.to_thread(self._journal.command, user, command_id)

    async def find(self, event_id: str) -> Committed | None:
        """The event with this id, None when this journal doesn't hold it."""
        digits = event_id.rpartition(":")[2]
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):  # SQLite's integers have 63 bits
            return None
        found = await asyncio.to_thread(self._journal.event, int(digits))
        return found if found is not None and found.id == event_id else None

    def _read_current(self) -> Current:
        snapshot = self._journal.snapshot()
        return Current(snapshot.position, tuple((each, TopicName.parse(each.topic)) for each in snapshot.events))
