"""The port to the clock: floor time, which may run fast, and the host's wall clock."""

from typing import Protocol

from bridge.domain.events import Millis


class Clock(Protocol):
    """Floor time, which may run fast; `seconds_until` is in real seconds."""

    def now(self) -> Millis: ...
    def seconds_until(self, at: Millis) -> float: ...


class AdjustableClock(Clock, Protocol):
    """Floor time of a host whose wall clock may be set forward."""

    def forward_step(self) -> Millis: ...
    def apply_step(self, by: Millis) -> None: ...


class FrontClock(Protocol):
    """Floor time for frames, and the wall clock's time for the expiry of tokens."""

    def now(self) -> Millis:
        """Return floor time."""

    def wall_now(self) -> Millis:
        """Return the time of the host's wall clock."""
