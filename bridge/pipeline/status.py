"""Status of the pipeline, with the accounting of promise P6.

An input counts as received when the broker's link hands the message over, before anything is known of it. Its effect
counts only once it is durable, and in flight is what is held in between. The three are counted independently: if they
disagree, a message was lost or taken twice, and that is never silent.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from bridge.domain.records import JournalEntry, count_key, input_kind
from bridge.domain.utc_time import Millis

COMMIT_SILENCE_MS: Final = 3_000  # of a commit under way: promise P5 allows 5 s until every dashboard shows it
UNKNOWN: Final = "unknown"  # the kind of inputs that were numbered but not counted


class ReceivedCounts:
    """Received inputs by kind, over the journal's whole life."""

    def __init__(self, counters: Mapping[tuple[str, str, str], int], *, last_number: int) -> None:
        """Begin with the journalled counters; `last_number` is how many inputs they must add up to."""
        self.by_kind: Counter[str] = Counter()
        for (kind, _, _), count in counters.items():
            self.by_kind[kind] += count
        if last_number != self.by_kind.total():
            self.by_kind[UNKNOWN] += last_number - self.by_kind.total()

    def add(self, topics: Iterable[str]) -> None:
        self.by_kind.update(map(input_kind, topics))


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """Status of the pipeline. `counters`: inputs by (kind, effect, reason), over the journal's whole life."""

    ready: bool = False
    reason: str | None = "not started"  # why it is not ready
    offset: int = 0  # committed
    committed_at: Millis | None = None  # floor time of the last commit of this run
    committing_since: Millis | None = None  # real time; None while no commit is under way
    unknown_fields: int = 0
    received: Mapping[str, int] = field(default_factory=dict)  # by kind; ticks and configuration included
    in_flight: Mapping[str, int] = field(default_factory=dict)  # by kind: received, and not durable yet
    counters: Mapping[tuple[str, str, str], int] = field(default_factory=dict)

    @property
    def unaccounted(self) -> Mapping[str, int]:
        """Return by kind the inputs received but neither durable nor in flight: all 0, or it is a bug of ours."""
        left = Counter(self.received)
        left.subtract(self.in_flight)
        for (kind, _, _), count in self.counters.items():
            left[kind] -= count
        return left

    def as_ready(self) -> Self:
        return replace(self, ready=True, reason=None, committing_since=None)

    def as_not_ready(self, reason: str) -> Self:
        return replace(self, ready=False, reason=reason)

    def as_of(self, at: Millis) -> Self:
        """Return the status at this real time: not ready if a commit has not returned for `COMMIT_SILENCE_MS`."""
        since = self.committing_since
        if not self.ready or since is None or at - since < COMMIT_SILENCE_MS:
            return self
        return self.as_not_ready("the journal does not answer")

    def with_committed(self, entries: Sequence[JournalEntry], *, at: Millis) -> Self:
        """Return the status after these entries were committed, which makes it ready."""
        counters = dict(self.counters)
        for entry in entries:
            key = count_key(entry)
            counters[key] = counters.get(key, 0) + 1
        return replace(
            self.as_ready(),
            offset=self.offset + sum(len(entry.events) for entry in entries),
            committed_at=at,
            counters=counters,
        )
