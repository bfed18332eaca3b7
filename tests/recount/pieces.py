"""Pieces that were really made, from one counts report to the next."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Step(NamedTuple):
    """From one counts report to the next: when they were said, and what was made by then."""

    since: int
    until: int
    before: dict[str, int]
    after: dict[str, int]


@dataclass(slots=True)
class Counters:
    """One machine's counters: what was made between its first report and each later one."""

    last_made: dict[str, int] | None = None
    last_at: int | None = None
    steps: list[Step] = field(default_factory=list)

    def read(self, made: dict[str, int], at: int) -> tuple[int, int] | None:
        """Return (total, good) made since the report before, which was said `at`; None for the first report."""
        before, since, self.last_made, self.last_at = self.last_made, self.last_at, made, at
        if before is None or since is None:
            return None
        self.steps.append(Step(since, at, before, made))
        return made["total"] - before["total"], made["good"] - before["good"]
