"""OEE recomputed from the whole history at once, the slow and obvious way. Source: domain.md, «OEE» and «Downtime».

Knows nothing of accumulators, revisions or deadlines; shares no code with bridge.domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MICRO_MS = 60_000
RESTART_MS = 10_000

Interval = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    at: int
    total: int
    good: int
    ideal_seconds: float  # per piece, of the product made then
    since: int = 0  # when its counter was read before: they were made in [since, at), at an unknown time


@dataclass(frozen=True)
class OeeResult:
    busy_ms: int
    down_ms: int
    unknown_ms: int
    total: int
    good: int
    ideal_seconds: float
    apart: int = 0  # pieces made in unknown time

    @property
    def availability(self) -> float | None:
        pbt = self.busy_ms + self.down_ms
        return self.busy_ms / pbt if pbt else None

    @property
    def performance(self) -> float | None:
        return self.ideal_seconds * 1000 / self.busy_ms if self.busy_ms else None

    @property
    def quality(self) -> float | None:
        return self.good / self.total if self.total else None


@dataclass(frozen=True)
class LineTimeline:
    """`said`: (since, run | stop | lost), in order, each valid until the next and the last until `until`."""

    states: Sequence[tuple[int, str]]
    until: int
    scheduled: Sequence[Interval]
    pieces: Sequence[Piece]

    def signals(self) -> list[tuple[int, int, str]]:
        """Maximal stretches of run, stop, lost and (not running, outside the plan) off."""
        cuts = sorted({at for at, _ in self.states} | {edge for span in self.scheduled for edge in span} | {self.until})
        cuts = [at for at in cuts if self.states[0][0] <= at <= self.until]
        spans: list[tuple[int, int, str]] = []
        for start, end in pairwise(cuts):
            signal = [signal for at, signal in self.states if at <= start][-1]
            if signal != "run" and not self.is_scheduled(start):
                signal = "off"
            if spans and spans[-1][2] == signal and not (signal == "run" and self.plan_ends(start)):
                spans[-1] = (spans[-1][0], end, signal)
            else:
                spans.append((start, end, signal))
        return spans

    def is_scheduled(self, at: int) -> bool:
        return any(start <= at < end for start, end in self.scheduled)

    def plan_ends(self, at: int) -> bool:
        return any(end == at for _, end in self.scheduled) and not self.is_scheduled(at)

    def downtimes(self) -> list[Interval]:
        signals = self.signals()
        spans: list[Interval] = []
        for index, (start, end, signal) in enumerate(signals):
            if signal == "stop" and end - start >= MICRO_MS and not (spans and start < spans[-1][1]):
                spans.append((start, self.end_of_downtime(signals[index + 1 :])))
        return spans

    def end_of_downtime(self, later: Sequence[tuple[int, int, str]]) -> int:
        for start, end, signal in later:
            if signal == "off":
                return start
            if signal == "run" and (end - start >= RESTART_MS or self.plan_ends(end)):
                return start
        return self.until

    def within(self, start: int, end: int, *, only: Sequence[Interval] | None = None) -> OeeResult:
        """Return the figures of [start, end); for a job, of the spans in `only`."""
        spans = [(start, end)] if only is None else [(max(start, a), min(end, b)) for a, b in only]
        downtimes = self.downtimes()
        busy = down = unknown = 0
        for lower, upper in spans:
            for since, till, signal in self.signals():
                a, b = max(since, lower), min(till, upper)
                if a >= b or signal == "off":
                    continue
                if signal == "lost":
                    unknown += b - a
                    continue
                lost = sum(max(0, min(b, y) - max(a, x)) for x, y in downtimes)
                down += lost
                busy += b - a - lost
            unknown += max(0, min(upper, self.states[0][0]) - lower)
        made = [self.pieces_of(piece, spans) for piece in self.pieces]
        return OeeResult(
            busy_ms=busy,
            down_ms=down,
            unknown_ms=unknown,
            total=sum(total for total, _, _ in made),
            good=sum(good for _, good, _ in made),
            ideal_seconds=sum(
                total * piece.ideal_seconds for (total, _, _), piece in zip(made, self.pieces, strict=True)
            ),
            apart=sum(apart for _, _, apart in made),
        )

    def pieces_of(self, piece: Piece, spans: Sequence[Interval]) -> tuple[int, int, int]:
        """Return what one reading adds to these spans: (total, good, pieces of unknown time)."""
        since = min(piece.since, piece.at - 1)
        lost = [(a, b) for a, b, signal in self.signals() if signal == "lost" and a < piece.at and b > since]
        if not lost:  # all of that time is known: it counts when it is read
            inside = any(a <= piece.at < b for a, b in spans)
            return inside * piece.total, inside * piece.good, 0
        total = good = apart = 0
        for lower, upper in ((max(a, since), min(b, piece.at)) for a, b in spans):
            if lower >= upper:
                continue
            unknown = [(max(a, lower), min(b, upper)) for a, b in lost if a < upper and b > lower]
            unknown_total = sum(made_by(piece, b)[0] - made_by(piece, a)[0] for a, b in unknown)
            unknown_good = sum(made_by(piece, b)[1] - made_by(piece, a)[1] for a, b in unknown)
            apart += unknown_total
            total += made_by(piece, upper)[0] - made_by(piece, lower)[0] - unknown_total
            good += made_by(piece, upper)[1] - made_by(piece, lower)[1] - unknown_good
        return total, good, apart


def made_by(piece: Piece, at: int) -> tuple[int, int]:
    """Return (total, good) pieces of a reading made until `at`, if they were made at a constant rate."""
    since = min(piece.since, piece.at - 1)
    total = piece.total * (at - since) // (piece.at - since)
    return total, piece.good * total // piece.total if piece.total else 0
