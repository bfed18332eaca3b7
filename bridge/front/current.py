"""The current events at one position, and what of them each kind of subscription sees: built once, shared by all."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from bridge.core.access.subscriptions import Admitted
from bridge.core.records import Committed, Position, Snapshot
from bridge.front.recent import name_of

STEP: Final = 256  # events matched before the loop is everybody else's again


@dataclass(frozen=True, slots=True)
class Built:
    """The events of one snapshot, oldest first."""

    position: Position
    events: tuple[Committed, ...]


@dataclass(frozen=True, slots=True)
class Current:
    """All current events at one position, oldest first. `built`: the snapshots made of it, by what they show."""

    position: Position
    events: tuple[Committed, ...]
    built: dict[Hashable, Built] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, former: "Current | None") -> "Current":
        """Events that were current before are the same objects: who still sends an older snapshot holds no copies."""
        known = {event.offset: event for event in former.events} if former is not None else {}
        return cls(snapshot.position, tuple(known.get(event.offset, event) for event in snapshot.events))

    async def build(self, admitted: Admitted) -> Built:
        found: list[Committed] = []
        for start in range(0, len(self.events), STEP):
            step = self.events[start : start + STEP]
            found += (event for event in step if admitted.wants(name_of(event.topic), audience=event.audience))
            await asyncio.sleep(0)
        return Built(self.position, tuple(found))
