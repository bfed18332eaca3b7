"""The `ts` as the identity of a report: that of a clock which was seen to move on, and is near the real time.

A clock without a battery starts again at the same instant, one of whole seconds gives two presses the same `ts`, and a
broken one stands still. Their equal reports are news.
"""

from typing import Final

from msgspec import Struct

from bridge.domain.events import Millis

TICKS: Final = 2  # successive advances with a fraction of a second: the clock is finer than people press
STANDING_MS: Final = 60_000  # after so long at one instant the clock may have stopped
FAR_MS: Final = 26 * 3_600_000  # no wrong time zone explains more: the clock was never set and may repeat itself


class TimestampTrail(Struct):
    """What a device's latest `ts` was, and how it got there. Checkpointed."""

    newest: Millis | None = None
    lag: Millis = 0  # of receipt behind it
    checksum: int = 0  # of the report that had it
    shared: bool = False  # by several reports of different content
    ticks: int = 0
    advances: int = 0  # since it last went back, of whatever size

    def record(self, ts: Millis, checksum: int, *, received_at: Millis) -> None:
        """Learn from a report that is applied; a `ts` that goes back begins anew."""
        before = self.newest
        if ts == before:
            if checksum != self.checksum:
                self.shared, self.ticks = True, 0
        else:
            self.shared = False
            if before is None or ts < before:
                self.ticks = self.advances = 0
            else:
                self.ticks += bool((ts - before) % 1000)
                self.advances += 1
        self.newest, self.checksum, self.lag = ts, checksum, received_at - ts

    @property
    def has_unique_timestamps(self) -> bool:
        """Say whether two events of the device can have no `ts` in common."""
        return self.ticks >= TICKS and abs(self.lag) <= FAR_MS

    def is_older(self, ts: Millis) -> bool:
        """Say whether a report with this `ts` is from before the latest one."""
        return self.newest is not None and ts < self.newest and abs(self.lag) <= FAR_MS

    def is_proven_repeat(self, ts: Millis, *, received_at: Millis) -> bool:
        """Say whether a report with this `ts`, whose content was seen before, must be that same report."""
        if ts == self.newest and abs(self.lag) <= FAR_MS:
            return self.has_unique_timestamps and not self.shared and not self._stands(received_at)
        return self.is_older(ts)

    def is_proven_same_start(self, ts: Millis, *, received_at: Millis) -> bool:
        """Say whether a device cannot have started again with this `ts`, which a start of it had before.

        It says several things at the instant of a start: that they share a `ts` is no proof that its clock stands.
        Nor need the clock be near the real time: one that repeats itself does not begin where it has just come to.
        """
        if self.is_proven_repeat(ts, received_at=received_at):
            return True
        return ts == self.newest and self.advances >= TICKS and not self._stands(received_at)

    def _stands(self, received_at: Millis) -> bool:
        assert self.newest is not None, "asked before"
        return received_at - self.newest - self.lag > STANDING_MS
