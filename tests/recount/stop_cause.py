"""What is known of why a line stands, as it is learned while the stop lasts. Source: DOMAIN, «Downtime».

A better finding replaces a worse one. A machine that fails after the culprit was repaired is not the cause; people are
called to it.
"""

from dataclasses import dataclass

from tests.recount.culprits import Finding, Rank


@dataclass(slots=True)
class Trouble:
    """What is known of a stop so far."""

    stopped: str | None = None
    cause: str = "unknown"
    culprit: str | None = None
    reason: str | None = None
    rank: Rank = Rank.UNKNOWN
    setup: bool = False
    maintenance: bool = False
    no_order: bool = False
    calls_from: int | None = None  # since when it is something to call for; None: from the stop on
    successor: str | None = None  # it keeps the line standing since the culprit was repaired
    successor_reason: str | None = None

    @property
    def place(self) -> str | None:
        """The machine of the line that people have to see to."""
        return self.successor or self.culprit

    def learn(self, found: Finding, *, status: str, no_order: bool) -> None:
        if self.stopped is None or found.rank > self.rank:
            self.stopped, self.cause, self.culprit = found.stopped, found.cause, found.culprit
            self.reason, self.rank = found.reason, found.rank
            self.successor = self.successor_reason = None
        elif (found.cause, found.culprit) == (self.cause, self.culprit) or found.rank is Rank.UNKNOWN:
            self.reason = found.reason or self.reason
        if found.rank in (Rank.CULPRIT, Rank.INTERNAL):
            self.maintenance = False
            self._succeed(found)
        self.maintenance = self.maintenance or status == "maintenance"
        self.setup = self.setup or status == "setup"
        self.no_order = self.no_order or no_order

    def _succeed(self, found: Finding) -> None:
        """Another machine is why the line stands now, once nothing is wrong with the one before."""
        if found.culprit == self.culprit:
            self.successor = self.successor_reason = None
            return
        if found.culprit == self.place:
            self.successor_reason = found.reason or self.successor_reason
        elif self.place not in found.broken:
            self.successor, self.successor_reason = found.culprit, found.reason

    @property
    def shown_cause(self) -> str:
        return "planned" if self.no_order and self.cause == "unknown" else self.cause
