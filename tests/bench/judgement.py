"""Whether the figures of a row may be used: one judgement for rows of all kinds, and the percentiles that they have."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

BUSY: Final = 0.8  # of a core: above it, what measures or feeds the server is measured with it
FULL: Final = 0.95  # of a core: above it, the server is at its limit
BUSY_MACHINE: Final = 0.1  # of the time without a processor: the row says so, for others make it slower
COMPLETE: Final = 0.98  # of what was offered: below it, the server is saturated
LATE_SECONDS: Final = 1.0  # of the last event: above it, the server is saturated
ENOUGH: Final = 100  # values, for a 99th percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Why a row measures something else than its servers (`invalid`), and why these were at their limit (`saturated`).

    Both are empty if it is not so. `waited`: the part of the time in which a server was able to run and had no
    processor.
    """

    invalid: str = ""
    saturated: str = ""
    waited: float = 0.0

    @property
    def words(self) -> str:
        """Return the words of all that holds, without the reasons; empty if nothing does."""
        marks = {"invalid": self.invalid, "saturated": self.saturated, "waited": self.waited > BUSY_MACHINE}
        return ", ".join(word for word, holds in marks.items() if holds)

    @property
    def text(self) -> str:
        """Return all that holds, with the reasons; empty if nothing does."""
        parts = [f"{word}: {why}" for word, why in (("invalid", self.invalid), ("saturated", self.saturated)) if why]
        if self.waited > BUSY_MACHINE:
            parts.append(f"waited {self.waited:.0%}")
        return ", ".join(parts)

    @property
    def is_comparable(self) -> bool:
        """Return whether its latency is that of a server that kept up."""
        return not self.invalid and not self.saturated


def judge(
    cores: Mapping[str, float],
    servers: Collection[str],
    *,
    waited: float,
    delivered: float = 1.0,
    late_seconds: float = 0.0,
) -> Judgement:
    """Judge by the processor time of each process, in parts of the wall time; all but `servers` measure or feed them.

    `delivered`: the part of what was offered that came in time; `late_seconds`: after the end, of what came last.
    """
    busy = [part for part, taken in cores.items() if part not in servers and taken > BUSY]
    full = [part for part, taken in cores.items() if part in servers and taken > FULL]
    invalid = f"{' and '.join(busy)} above {BUSY:.0%} of a core" if busy else ""
    if delivered > 1:
        invalid = "more was delivered than offered"
    saturated = [f"{' and '.join(full)} above {FULL:.0%} of a core"] if full else []
    if delivered < COMPLETE:
        saturated.append(f"{delivered:.1%} delivered")
    if late_seconds > LATE_SECONDS:
        saturated.append(f"the last event came {late_seconds:.1f} s late")
    return Judgement(invalid=invalid, saturated=" and ".join(saturated), waited=waited)


def nearest_rank(values: Sequence[float], percent: int) -> float:
    """Return the smallest of these values that so many percent of them do not exceed; raise IndexError without any."""
    return sorted(values)[max(1, -(-len(values) * percent // 100)) - 1]


def percentiles(name: str, values_ms: Sequence[float]) -> dict[str, float]:
    """Return the figures `{name}_p50_ms`, and `{name}_p99_ms` if there are enough values for one."""
    figures = {f"{name}_p50_ms": nearest_rank(values_ms, 50)} if values_ms else {}
    if len(values_ms) >= ENOUGH:
        figures[f"{name}_p99_ms"] = nearest_rank(values_ms, 99)
    return figures
