"""A user of the seeded runs: a checked dashboard on sockets in memory, which reads at its own pace and is cut."""

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from tests.support import random_histories
from tests.support.checked_dashboard import CheckedDashboard
from tests.support.delivery_checker import PromiseBroken
from tests.support.memory_journal import MemoryJournal
from tests.support.memory_socket import MemorySocket
from tests.support.reference_dashboard import ReferenceDashboard
from tests.support.reference_subscription import Frame

STEADY_FRAMES = 60  # a second
WINDOW: Final = 3  # frames on their way


class DashboardServer(Protocol):
    """Server that a simulated dashboard connects to."""

    journal: MemoryJournal

    @property
    def is_open(self) -> bool: ...

    def serve(self, socket: MemorySocket) -> None: ...


@dataclass(eq=False)
class SimulatedDashboard:
    """A user who comes back whenever the connection is lost."""

    server: DashboardServer
    user: str
    chance: Random
    cut_after: int | None = None  # bytes, of the first connection
    checked: CheckedDashboard = field(init=False)
    socket: MemorySocket | None = None
    first: MemorySocket | None = None
    speed: str = "fast"
    granted: tuple[str, ...] = ("#",)
    is_stopped: bool = False  # it comes back no more
    close_codes: list[int | None] = field(default_factory=list)  # None where it was cut off

    def __post_init__(self) -> None:
        self.checked = CheckedDashboard(self.user, self.server.journal, random_histories.grants_of)

    @property
    def client(self) -> ReferenceDashboard:
        return self.checked.client

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

    def take(self, socket: MemorySocket, text: str) -> None:
        if socket is self.socket:
            self._send_texts(self.checked.receive(text))

    def end(self, socket: MemorySocket, code: int | None, reason: str) -> None:
        if socket is not self.socket:
            return
        if code not in (None, 1012, 4008):
            raise PromiseBroken(f"closed with {code} {reason}")
        self.close_codes.append(code)
        self.socket = None
        asyncio.get_running_loop().call_later(self.chance.choice((0.0, 0.002, 0.4)), self.connect)

    # What it does.

    def connect(self) -> None:
        if self.socket is not None or self.is_stopped or not self.server.is_open:
            return
        cut_after = self.cut_after if self.first is None else None
        self.socket = MemorySocket(self, window=WINDOW, chance=self.chance, cut_after=cut_after)
        self.first = self.first or self.socket
        self.server.serve(self.socket)
        self._send_texts(self.checked.connect(random_histories.token(self.user, self.granted)))
        if self.speed == "stuck":
            self.speed = "slow"

    def send(self, *frames: Frame) -> None:
        if self.socket is not None:
            self._send_texts(self.checked.send(*frames))

    def read(self, speed: str) -> None:
        self.speed = speed
        if self.socket is not None:
            self.socket.go_on()

    def subscribe(self, name: str) -> None:
        if self.socket is not None:
            self._send_texts(self.checked.subscribe(random_histories.random_subscription(self.chance, name, self.user)))

    def subscribe_to(self, body: Frame, topic_filter: str) -> None:
        self._send_texts(self.checked.subscribe(random_histories.RequestedSubscription(body, topic_filter, self.user)))

    def act(self) -> None:
        if self.socket is None:
            return
        match self.chance.randrange(13):
            case 0 | 1:
                self.subscribe(self.chance.choice("abcd"))
            case 2 if self.client.subscriptions:
                self.send(self.client.unsubscribe(self.chance.choice(list(self.client.subscriptions))))
            case 3 | 4:
                self.granted = self.chance.choice(random_histories.GRANTS)
                self.send(self.client.refresh_token(random_histories.token(self.user, self.granted)))
            case 5:
                options = {"batch": self.chance.random() < 0.6, "batch_ms": self.chance.choice((0, 50, 1_000))}
                self.send({"type": "options", **options})
            case 6:
                self.send({"type": "ping"})
            case 7:
                self.socket.cut()
            case 8 if self.client.settled and self.client.position and self.client.subscriptions:
                self.send(self.client.resume(self.chance.choice(list(self.client.subscriptions))))
            case _:
                self.read(self.chance.choice(("fast", "fast", "slow", "slow", "stuck")))

    @property
    def is_current(self) -> bool:
        return self.socket is not None and self.checked.is_current(self.server.journal.epoch)

    def _send_texts(self, texts: list[str]) -> None:
        if self.socket is not None:
            for text in texts:
                self.socket.send_text(text)
