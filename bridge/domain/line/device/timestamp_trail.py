"""Report identity by `ts`, for clocks that have advanced and are near the real time.

A clock without a battery restarts at the same instant, one of whole seconds gives two presses the same `ts`, and a
broken one stops. Equal reports of such a clock are new reports.
"""

from typing import Final

from msgspec import Struct

from bridge.domain.utc_time import Millis

TICKS: Final = 2  # successive advances with a fraction of a second: the clock separates two presses
STANDING_MS: Final = 60_000  # after this long at one instant the clock may have stopped
FAR_MS: Final = 26 * 3_600_000  # no wrong time zone explains more: the clock was never set and may repeat itself


class TimestampTrail(Struct):
    """A device's latest `ts`, and how its clock advanced to it. Checkpointed."""

    newest: Millis | None = None
    lag: Millis = 0  # receipt time minus `newest`
    checksum: int = 0  # of the report that had it
    shared: bool = False  # by several reports of different content
    ticks: int = 0
    advances: int = 0  # since it last went back, of any size

    def record(self, ts: Millis, checksum: int, *, received_at: Millis) -> None:
        """Learn from a report that is applied; a `ts` that goes back restarts the counts."""
        previous = self.newest
        if ts == previous:
            if checksum != self.checksum:
                self.shared, self.ticks = True, 0
        else:
            self.shared = False
            if previous is None or ts < previous:
                self.ticks = self.advances = 0
            else:
                self.ticks += bool((ts - previous) % 1000)
                self.advances += 1
        self.newest, self.checksum, self.lag = ts, checksum, received_at - ts

    @property
    def has_unique_timestamps(self) -> bool:
        """Return whether two events of the device cannot share a `ts`."""
        return self.ticks >= TICKS and abs(self.lag) <= FAR_MS

    def is_older(self, ts: Millis) -> bool:
        """Return whether a report with this `ts` predates the latest one."""
        return self.newest is not None and ts < self.newest and abs(self.lag) <= FAR_MS

    def is_proven_repeat(self, ts: Millis, *, received_at: Millis) -> bool:
        """Return whether a report with this `ts` and known content must be the one received before."""
        if ts == self.newest and abs(self.lag) <= FAR_MS:
            return self.has_unique_timestamps and not self.shared and not self._has_stopped(received_at)
        return self.is_older(ts)

    def is_proven_same_start(self, ts: Millis, *, received_at: Millis) -> bool:
        """Return whether a birth with this `ts`, which an earlier start had, must be of that same start.

        A device sends several reports at the instant of a start, so a shared `ts` does not prove a stopped clock. Nor
        need the clock be near the real time: one that repeats itself does not restart at the instant it just reached.
        """
        if self.is_proven_repeat(ts, received_at=received_at):
            return True
        return ts == self.newest and self.advances >= TICKS and not self._has_stopped(received_at)

    def _has_stopped(self, received_at: Millis) -> bool:
        assert self.newest is not None, "the caller compared `ts` with it"
        return received_at - self.newest - self.lag > STANDING_MS
