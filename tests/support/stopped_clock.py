"""A clock for tests that stands still until a test, or the work that it does, moves it."""

from dataclasses import dataclass


@dataclass
class StoppedClock:
    """Returns `now`, in whatever unit the test means."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
