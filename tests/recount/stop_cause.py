"""Known cause of a stop, updated while it lasts. Source: domain.md, «Downtime».

A better finding replaces a worse one. A machine that fails after the culprit was repaired, or is left standing, is not
the cause; people are called to it. Nobody is called while somebody is there, or while it is clear what is waited for.
"""

from dataclasses import dataclass

from tests.recount.culprits import Finding, Rank


@dataclass(slots=True)
class KnownCause:
    """Cause of a stop, as far as it is known."""

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
    attended: bool = False  # somebody is there, at this moment
    awaited: bool = False  # at this moment it is starved, blocked, planned or without an order, and no machine's fault
    changeover: bool = False  # a changeover is in progress

    @property
    def place(self) -> str | None:
        """The machine of the line that people have to see to."""
        return self.successor or self.culprit

    def learn(self, finding: Finding, *, status: str, no_order: bool, changeover: bool) -> None:
        if self.stopped is None or finding.rank > self.rank:
            self.stopped, self.cause, self.culprit = finding.stopped, finding.cause, finding.culprit
            self.reason, self.rank = finding.reason, finding.rank
            self.successor = self.successor_reason = None
        elif (finding.cause, finding.culprit) == (self.cause, self.culprit) or finding.rank is Rank.UNKNOWN:
            self.reason = finding.reason or self.reason
        if finding.rank in (Rank.CULPRIT, Rank.INTERNAL):
            self.maintenance = False
            self._succeed(finding.culprit, finding)
        self.maintenance = self.maintenance or status == "maintenance"
        self.setup = self.setup or status == "setup"
        self.no_order = self.no_order or no_order
        self._look_around(finding, status=status, no_order=no_order)
        self.changeover = changeover

    def _look_around(self, finding: Finding, *, status: str, no_order: bool) -> None:
        """Take in what holds at this moment only."""
        people_there = finding.rank is Rank.ATTENDED or status in ("setup", "maintenance")
        self.awaited = no_order or finding.rank in (Rank.WAITS, Rank.PLANNED)
        unexplained = finding.rank is Rank.UNKNOWN and not people_there and not no_order
        if unexplained and self.place is not None and self.place not in finding.broken:
            self._succeed(finding.stopped, finding)
        place = self.place or self.stopped
        self.attended = place in finding.attended or (people_there and place not in finding.broken)

    def _succeed(self, machine: str | None, finding: Finding) -> None:
        """Blame another machine, once nothing is wrong with the one before."""
        if machine == self.culprit:
            self.successor = self.successor_reason = None
            return
        if machine == self.place:
            self.successor_reason = finding.reason or self.successor_reason
        elif self.place not in finding.broken:
            self.successor, self.successor_reason = machine, finding.reason

    @property
    def shown_cause(self) -> str:
        return "planned" if self.no_order and self.cause == "unknown" else self.cause
