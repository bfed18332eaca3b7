"""A journal in memory, with what time does to one: retention, and a restore from a backup."""

from collections.abc import Sequence

from bridge.domain.envelope import position_event
from bridge.domain.event_topic import StateKey
from bridge.domain.events import Event, Standing
from bridge.domain.records import CommandRecord, CommittedEvent, Position, Snapshot

STREAM = "main"


class MemoryJournal:
    """The journal that a front reads. `history` holds every event ever committed, for checks."""

    def __init__(self) -> None:
        self.stream = STREAM
        self.epoch = "epoch-1"
        self.history: list[CommittedEvent] = []  # offset n at n - 1
        self.oldest = 1

    @property
    def end(self) -> int:
        return len(self.history)

    def append(self, events: Sequence[Event]) -> list[CommittedEvent]:
        new = [
            position_event(event, stream=self.stream, epoch=self.epoch, offset=self.end + number)
            for number, event in enumerate(events, start=1)
        ]
        self.history += new
        return new

    def retain(self, oldest: int) -> None:
        """Prune the events below `oldest`; current ones stay."""
        self.oldest = max(self.oldest, min(oldest, self.end + 1))

    def renew(self, *, back_to: int | None = None) -> None:
        """Begin a new epoch, after a restore of a backup taken at an offset."""
        self.epoch = f"epoch-{int(self.epoch.partition('-')[2]) + 1}"
        if back_to is not None:
            del self.history[back_to:]
            self.oldest = min(self.oldest, back_to + 1)

    def current_at(self, offset: int) -> dict[StateKey, CommittedEvent]:
        current: dict[StateKey, CommittedEvent] = {}
        for event in self.history[:offset]:
            if event.standing is not Standing.HISTORY:
                current.pop(event.state_key, None)
            if event.standing is Standing.CURRENT:
                current[event.state_key] = event
        return current

    # What the front reads.

    def position(self) -> Position:
        return Position(self.stream, self.epoch, self.end)

    def snapshot(self) -> Snapshot:
        end = self.end  # once: another thread may append meanwhile
        return Snapshot(Position(self.stream, self.epoch, end), tuple(self.current_at(end).values()))

    def events_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        first = max(offset + 1, self.oldest)
        return self.history[first - 1 : first - 1 + limit]

    def event(self, offset: int) -> CommittedEvent | None:
        if self.oldest <= offset <= self.end:
            return self.history[offset - 1]
        return next((event for event in self.current_at(self.end).values() if event.offset == offset), None)

    def oldest_offset(self) -> int:
        return self.oldest

    def command(self, user: str, command_id: str) -> CommandRecord | None:
        del user, command_id
        return None
