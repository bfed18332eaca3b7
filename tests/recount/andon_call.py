"""One Andon call, and a call that a breakdown wants."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from tests.recount.plant_facts import LADDER, MINUTE, TOP

STANDSTILL: Final = frozenset({"equipment", "maintenance", "stop"})


@dataclass(slots=True, eq=False)
class ExpectedCall:
    place: str
    type: str
    priority: str
    raised_at: int
    automatic: bool = False
    status: str = "open"
    level: int = 0
    repeat: int = 0
    basis: int = 0  # deadlines count from here
    acknowledged: bool = False
    arrived: bool = False
    answered_at: int = 0  # the last time a person called, acknowledged or arrived
    paused: bool = False
    past: bool = False  # its reason has ended: the line ran again
    downtime: int | None = None  # number of the downtime it is linked to
    culprit: str | None = None  # whose downtime that is
    steps: list[tuple[int, str]] = field(default_factory=list)  # instants still ahead
    passed: int = 0  # the last of those that are not

    @property
    def key(self) -> str:
        return f"{self.place}/{self.type}"

    def begin_ladder(self, at: int) -> None:
        """Lay out every instant at which a deadline or a reminder falls."""
        self.basis = at
        acknowledge, resolve, step = (minutes * MINUTE for minutes in LADDER[self.priority])
        self.steps = [(acknowledge + n * step, "ack_timeout") for n in range(TOP + 1)]
        self.steps += [(resolve + n * step, "resolve_timeout") for n in range(TOP + 1)]
        self.steps += [
            (limit - before * MINUTE, f"before_{kind}")
            for kind, limit, before in (("ack", acknowledge, 5), ("resolve", resolve, 10))
            if 2 * (limit - before * MINUTE) >= limit
        ]
        self.steps = sorted((at + offset, kind) for offset, kind in self.steps)


@dataclass(frozen=True, slots=True)
class DueCall:
    """An automatic call that is due for a downtime."""

    place: str
    type: str
    priority: str
    downtime: int
    since: int
    stopped: str


class Relation(IntEnum):
    """Relation of an open call to a trouble, the closest first."""

    OTHER = 0
    LINKED = 1
    SAME = 2
    ANSWERED = 3  # of the same machine's trouble before, and people have answered it since the trouble came again
    ELSEWHERE = 4  # of the same downtime, where people were called to another machine: first that one has to be over
    RECURRED = 5  # of the same machine's trouble before


def same_family(one: str, other: str) -> bool:
    return one == other or {one, other} <= STANDSTILL
