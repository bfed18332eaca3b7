"""How the pipeline is, in figures that add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from bridge.core.events import Millis
from bridge.core.records import Applied, count_key

SILENT_MS: Final = 3_000  # of a commit under way: promise P5 gives 5 s until every dashboard is told


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """How the pipeline is. `counters`: inputs by (kind, effect, reason), of the journal's whole life."""

    ready: bool = False
    reason: str | None = "not started"  # why it is not ready
    offset: int = 0  # committed
    committed_at: Millis | None = None  # floor time of the last commit of this run
    committing_since: Millis | None = None  # real time; None while no commit is under way
    received: int = 0  # inputs journalled, ticks included: the sum of all counters
    unknown_fields: int = 0
    counters: Mapping[tuple[str, str, str], int] = field(default_factory=dict)

    def but_ready(self) -> Self:
        return replace(self, ready=True, reason=None, committing_since=None)

    def but_not_ready(self, reason: str) -> Self:
        return replace(self, ready=False, reason=reason)

    def seen(self, at: Millis) -> Self:
        """Return how it looks at this real time: a commit that does not come back is not called failed for long."""
        since = self.committing_since
        if not self.ready or since is None or at - since < SILENT_MS:
            return self
        return self.but_not_ready("the journal does not answer")

    def after(self, entries: Sequence[Applied], *, at: Millis) -> Self:
        """Return the status after these entries were committed."""
        counters = dict(self.counters)
        for entry in entries:
            key = count_key(entry)
            counters[key] = counters.get(key, 0) + 1
        return replace(
            self,
            offset=self.offset + sum(len(entry.events) for entry in entries),
            committed_at=at,
            received=self.received + len(entries),
            counters=counters,
        )
