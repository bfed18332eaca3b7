"""The front's end of a dashboard's socket in the small world."""

from collections import deque
from collections.abc import Callable, Generator
from typing import Protocol

from tests.protocol.delivery.oracle import PromiseBroken


class Client(Protocol):
    """The dashboard's end."""

    is_stalled: bool

    def written(self, frames: bytes) -> None: ...

    def receive(self, frames: bytes) -> None: ...


class SmallSocket:
    """The front's end: while the client is stalled, it takes one write."""

    def __init__(self, dashboard: Client) -> None:
        self.is_writable = True
        self.is_broken = False  # the next write fails
        self.unread: deque[bytes] = deque()
        self._dashboard = dashboard

    @property
    def unsent_bytes(self) -> int:
        return sum(map(len, self.unread))

    @property
    def has_unread(self) -> bool:
        return False

    def write(self, frames: bytes) -> None:
        self._dashboard.written(frames)
        if self._dashboard.is_stalled:
            self.unread.append(frames)
            self.is_writable = False
        else:
            self._dashboard.receive(frames)

    def authenticated(self, user_id: str) -> None:
        raise AssertionError(f"{user_id} is there from the start")

    def charge(self, ms: float) -> None:
        raise AssertionError(f"the test reads: {ms}")

    def in_turn(self, work: Callable[[], None]) -> None:
        raise AssertionError(f"turns are taken by the test: {work}")

    def run_steps(self, steps: Generator[None, None, None]) -> None:
        raise AssertionError(f"requests are made by the test: {steps}")

    def pause_reading(self) -> None:
        raise AssertionError("it is read one request at a time")

    def resume_reading(self) -> None:
        raise AssertionError("it is read one request at a time")

    def close(self, code: int, reason: str) -> None:
        raise PromiseBroken(f"closed with {code} {reason}")
