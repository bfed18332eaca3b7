"""Stops of lines and machines, and which of them are downtimes. Source: domain.md, «Downtime».

A stop that lasts the threshold is a downtime from its beginning; running for the restart time ends it, at its
beginning. What is not seen begins nothing and ends nothing.
"""

from dataclasses import dataclass, field

RUN, STOP, LOST = "run", "stop", "lost"


@dataclass(slots=True)
class StopDetector:
    """Follows one line or machine, and records its signal over time."""

    threshold: int
    restart: int
    signal: str = LOST
    stop_since: int | None = None  # no downtime yet
    down_since: int | None = None
    run_since: int | None = None  # within a downtime
    signals: list[tuple[int, str]] = field(default_factory=list)
    downtimes: list[tuple[int, int | None]] = field(default_factory=list)

    def observe(self, signal: str, at: int) -> None:
        if not self.signals or self.signals[-1][1] != signal:
            self.signals.append((at, signal))
        self.signal = signal
        if self.down_since is not None:
            if signal != RUN:
                self.run_since = None
            elif self.run_since is None:
                self.run_since = at
        elif signal == STOP:
            self.stop_since = at if self.stop_since is None else self.stop_since
        else:
            self.stop_since = None

    def due(self) -> int | None:
        if self.stop_since is not None:
            return self.stop_since + self.threshold
        return None if self.run_since is None else self.run_since + self.restart

    def fire(self, at: int) -> str | None:
        """Return `opened` or `closed` where that is so at this instant."""
        if at != self.due():
            return None
        if self.stop_since is not None:
            self.down_since, self.stop_since = self.stop_since, None
            self.downtimes.append((self.down_since, None))
            return "opened"
        assert self.down_since is not None
        self.downtimes[-1] = (self.down_since, self.run_since)
        self.down_since = self.run_since = None
        return "closed"

    def times(self, since: int, until: int) -> dict[str, int]:
        """Return how many milliseconds of a window it was busy, down and unseen."""
        totals = {"busy": 0, "down": 0, "unknown": 0}
        ends = [at for at, _ in self.signals[1:]] + [until]
        for (begin, signal), end in zip(self.signals, ends, strict=True):
            low, high = max(begin, since), min(max(end, begin), until)
            if high <= low:
                continue
            if signal == LOST:
                totals["unknown"] += high - low
                continue
            down = sum(max(0, min(high, stop or until) - max(low, start)) for start, stop in self.downtimes)
            totals["down"] += down
            totals["busy"] += high - low - down
        first = self.signals[0][0] if self.signals else until
        totals["unknown"] += max(0, min(first, until) - since)
        return totals
