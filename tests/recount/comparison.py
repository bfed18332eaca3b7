"""Comparison of reported with expected facts: precision, recall and the differences."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.recount.fact import Fact

TOLERANCE_MS = 1_000  # domain.md: deadlines are 1 s late at most


@dataclass(slots=True)
class Comparison:
    expected: int = 0
    reported: int = 0
    matched: int = 0
    missing: list[Fact] = field(default_factory=list)
    invented: list[Fact] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.matched / self.reported if self.reported else 1.0

    @property
    def recall(self) -> float:
        return self.matched / self.expected if self.expected else 1.0

    def add(self, other: "Comparison") -> None:
        self.expected += other.expected
        self.reported += other.reported
        self.matched += other.matched
        self.missing += other.missing
        self.invented += other.invented


def compare(expected: Iterable[Fact], reported: Iterable[Fact]) -> Comparison:
    """Match each fact with at most one of the same content and nearly the same time."""
    waiting: dict[tuple[object, ...], list[Fact]] = defaultdict(list)
    comparison = Comparison()
    for fact in reported:
        waiting[fact.key].append(fact)
        comparison.reported += 1
    for fact in expected:
        comparison.expected += 1
        candidates = waiting[fact.key]
        best = min(candidates, key=lambda candidate: abs(candidate.at - fact.at), default=None)
        if best is None or abs(best.at - fact.at) > TOLERANCE_MS + fact.slack:
            comparison.missing.append(fact)
        else:
            candidates.remove(best)
            comparison.matched += 1
    comparison.invented = [fact for facts in waiting.values() for fact in facts]
    return comparison
