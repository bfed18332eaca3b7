"""A clock for tests that stands still until a test, or the work that it does, moves it."""

from dataclasses import dataclass


@dataclass
class StoppedClock:
    """Returns `now`, in whatever unit the test means."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class TickingClock(StoppedClock):
    """A clock that goes on by `tick` whenever it is read: work, around which it is read, takes time."""

    tick: float = 0.25

    def __call__(self) -> float:
        self.now += self.tick
        return self.now
