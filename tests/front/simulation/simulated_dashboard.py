"""A user of the seeded runs: the reference dashboard on wires in memory, watched by a judge."""

import asyncio
import json
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.front.simulation.memory_connection import MemoryWire
from tests.support import random_histories
from tests.support.delivery_checker import Judge, Wrong
from tests.support.memory_journal import MemoryJournal
from tests.support.reference_dashboard import ReferenceDashboard
from tests.support.reference_subscription import Frame

STEADY_FRAMES = 60  # a second


class Floor(Protocol):
    """What it connects to."""

    journal: MemoryJournal

    @property
    def is_open(self) -> bool: ...

    def serve(self, wire: MemoryWire) -> None: ...


@dataclass(eq=False)
class VirtualDashboard:
    """A user who comes back whenever the connection is lost."""

    run: Floor
    user: str
    chance: Random
    cut_after: int | None = None  # bytes, of the first connection
    client: ReferenceDashboard = field(init=False)
    judge: Judge = field(init=False)
    wire: MemoryWire | None = None
    first: MemoryWire | None = None
    speed: str = "fast"
    granted: tuple[str, ...] = ("#",)
    gone: bool = False
    connections: int = 0
    endings: list[int | None] = field(default_factory=list)  # close codes, None where it was cut off

    def __post_init__(self) -> None:
        self.client = ReferenceDashboard(self.user)
        self.judge = Judge(self.run.journal, self.client, random_histories.grants_of)

    # How it reads.

    def pace(self) -> float | None:
        match self.speed:
            case "fast":
                return 0.0005
            case "slow":
                return self.chance.random() * 0.3
            case "steady":
                return 1 / STEADY_FRAMES
            case _:
                return None

    def hear(self, wire: MemoryWire, text: str) -> None:
        if wire is not self.wire:
            return
        self.judge.takes(text)
        replies, self.client.replies = self.client.replies, []
        self.says(*replies)

    def over(self, wire: MemoryWire, code: int | None) -> None:
        if wire is not self.wire:
            return
        if code not in (None, 1012, 4008):
            raise Wrong(f"closed with {code}")
        self.endings.append(code)
        self.wire = None
        asyncio.get_running_loop().call_later(self.chance.choice((0.0, 0.002, 0.4)), self.connect)

    # What it does.

    def connect(self) -> None:
        if self.wire is not None or self.gone or not self.run.is_open:
            return
        wire = MemoryWire(self, self.chance, cut_after=self.cut_after if self.first is None else None)
        self.wire = wire
        self.connections += 1
        self.first = self.first or wire
        self.run.serve(wire)
        self.judge.connects()
        self.says(*self.client.returns(random_histories.token(self.user, self.granted)))
        if self.speed == "stuck":
            self.speed = "slow"

    def says(self, *frames: Frame) -> None:
        if self.wire is None:
            return
        for frame in frames:
            self.judge.says(frame)
            self.wire.say(json.dumps(frame))

    def reads(self, speed: str) -> None:
        self.speed = speed
        if self.wire is not None:
            self.wire.go_on()

    def subscribes(self, name: str) -> None:
        if self.wire is None:
            return
        asked = random_histories.ask(self.chance, name, self.user)
        self.judge.learns(asked)
        self.says(self.client.subscribes(asked.body))

    def asks(self, body: Frame, selects: str) -> None:
        self.judge.learns(random_histories.Asked(body, selects, self.user))
        self.says(self.client.subscribes(body))

    def acts(self) -> None:
        if self.wire is None:
            return
        match self.chance.randrange(13):
            case 0 | 1:
                self.subscribes(self.chance.choice("abcd"))
            case 2 if self.client.held:
                self.says(self.client.unsubscribes(self.chance.choice(list(self.client.held))))
            case 3 | 4:
                self.granted = self.chance.choice(random_histories.GRANTS)
                self.says(self.client.proves(random_histories.token(self.user, self.granted)))
            case 5:
                options = {"batch": self.chance.random() < 0.6, "batch_ms": self.chance.choice((0, 50, 1_000))}
                self.says({"type": "options", **options})
            case 6:
                self.says({"type": "ping"})
            case 7:
                self.wire.cut()
            case 8 if self.client.settled and self.client.position and self.client.held:
                self.says(self.client.resumes(self.chance.choice(list(self.client.held))))
            case _:
                self.reads(self.chance.choice(("fast", "fast", "slow", "slow", "stuck")))

    @property
    def content(self) -> bool:
        if self.wire is None or not self.client.settled:
            return False
        here = {"epoch": self.run.journal.epoch, "offset": self.run.journal.end}
        followed = any(each.confirmed for each in self.client.held.values())
        return not followed or self.client.position.get("main") == here
