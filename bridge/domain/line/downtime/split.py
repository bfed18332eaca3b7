"""Switches of one stop between breakdown and changeover, which split its downtime. Source: domain.md, «Downtime».

A changeover that starts during a known breakdown splits at once. A breakdown during a changeover splits once it has
lasted the micro-stop threshold; so does the changeover that continues after it. Both are dated at their start. A fault
that is active when the changeover starts is carried into it: it does not split while both last. It makes no difference
whether the deciding machine failed or a neighbour that it waits for.
"""

from msgspec import Struct

from bridge.domain.line.downtime.findings import DowntimeFindings, FindingRank, rank_of
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.utc_time import Millis


class SplitState(Struct, rename={"findings": "found", "carried_machine": "carried"}):
    """The current kind of the stop, and a pending switch to the other kind."""

    changeover: bool = False
    within: bool = False  # a breakdown during a changeover that continues
    changing: bool = False  # a changeover runs, or the line is being set up
    carried_machine: str | None = None  # the machine whose fault was active when the changeover began, and still is
    since: Millis | None = None  # start of the pending switch, which has not lasted the threshold yet
    findings: DowntimeFindings | None = None  # findings from then on

    @classmethod
    def begin(cls, diagnosis: Diagnosis, *, changing: bool) -> "SplitState":
        """Return the state of a stop at its first instant."""
        broken = _is_broken(diagnosis)
        return cls(changeover=changing and not broken, within=changing and broken, changing=changing)

    def observe(self, diagnosis: Diagnosis, *, changing: bool) -> None:
        """Update the state from a diagnosis."""
        self.changing = changing
        self.within = self.within and changing
        if self.carried_machine not in diagnosis.broken:
            self.carried_machine = None

    @property
    def is_changeover_start(self) -> bool:
        return self.changing and not self.changeover and not self.within

    def is_splitting(self, diagnosis: Diagnosis, *, current_culprit: str | None) -> bool:
        """Return whether the stop switches to the other kind; not while the culprit of a breakdown is offline."""
        broken = _is_broken(diagnosis)
        if self.changeover:
            return broken and not (self.changing and self.carried_machine == diagnosis.cause_equipment)
        return self.within and not broken and current_culprit not in diagnosis.lost

    def set_forward(self, by: Millis) -> None:
        """Delay the pending switch by a forward step of the host's clock."""
        self.since = None if self.since is None else self.since + by
        if self.findings is not None:
            self.findings.set_forward(by)

    def complete(self) -> tuple[Millis, DowntimeFindings]:
        """Complete the pending switch; return when it began, and the findings since."""
        assert self.since is not None, "only a pending switch is completed"
        since, findings = self.since, self.findings or DowntimeFindings()
        self.changeover, self.since, self.findings = not self.changeover, None, None
        self.within = self.changing and not self.changeover
        self.carried_machine = None
        return since, findings


def _is_broken(diagnosis: Diagnosis) -> bool:
    """Return whether the line is stopped by a failed machine that nobody works on."""
    return rank_of(diagnosis.cause, diagnosis.cause_equipment, attended=diagnosis.attended) >= FindingRank.CULPRIT
