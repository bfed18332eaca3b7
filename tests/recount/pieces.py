"""Pieces that were really made, as far as counts reports tell of them."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """One machine's counters: what was made between its first report and each later one."""

    last_made: dict[str, int] | None = None
    last_at: int | None = None
    steps: list[tuple[int, dict[str, int], dict[str, int]]] = field(default_factory=list)  # (at, made before, after)

    def read(self, made: dict[str, int], at: int) -> tuple[int, int] | None:
        """Return (total, good) made since the report before; None for the first, which tells nothing."""
        before, self.last_made, self.last_at = self.last_made, made, at
        if before is None:
            return None
        self.steps.append((at, before, made))
        return made["total"] - before["total"], made["good"] - before["good"]

    def made(self, name: str, since: int, until: int) -> int:
        """Return how many pieces reports told of in [since, until)."""
        return sum(after[name] - before[name] for at, before, after in self.steps if since <= at < until)
