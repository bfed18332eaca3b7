"""The current events at one position, and what of them each kind of subscription sees: built once, shared by all."""

import asyncio
from array import array
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.core.access.subscriptions import Admitted
from bridge.core.records import CommittedEvent, Position, Snapshot
from bridge.front.recent import name_of

STEP: Final = 256  # events matched before the loop is everybody else's again


@dataclass(frozen=True, slots=True)
class Built:
    """What one snapshot shows, oldest first, by offset: who is stuck in the middle of one holds no events.

    A plant changes all its states within seconds, and each dashboard may be stuck in another snapshot.
    """

    position: Position
    offsets: "array[int]"


@dataclass(frozen=True, slots=True)
class Current:
    """All current events at one position by offset, oldest first. `built`: the snapshots made, by what they show."""

    position: Position
    events: Mapping[int, CommittedEvent]
    built: dict[Hashable, Built] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot, former: "Current | None") -> "Current":
        """Events that were current before are the same objects: where the one replaces the other are no copies."""
        known = former.events if former is not None else {}
        return cls(snapshot.position, {event.offset: known.get(event.offset, event) for event in snapshot.events})

    async def build(self, admitted: Admitted) -> Built:
        found = array("q")
        for number, event in enumerate(self.events.values(), start=1):
            if admitted.wants(name_of(event.topic), audience=event.audience):
                found.append(event.offset)
            if number % STEP == 0:
                await asyncio.sleep(0)
        return Built(self.position, found)
