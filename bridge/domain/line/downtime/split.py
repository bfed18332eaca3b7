"""The turns of one stop between breakdown and changeover: where its downtime is split. Source: DOMAIN, «Downtime».

A changeover that starts during a known breakdown splits at once. A breakdown during a changeover splits where it has
lasted the micro-stop threshold, and so does the changeover that goes on after it; either is dated at its beginning. A
fault that stood when the changeover began is carried into it: it does not split while both last. Whether the machine
that failed is the one that decides or a neighbour for which it waits makes no difference.
"""

from msgspec import Struct

from bridge.domain.events import Millis
from bridge.domain.line.downtime.findings import DowntimeFindings, FindingRank, rank_of
from bridge.domain.line.equipment.status import Diagnosis


class SplitState(Struct):
    """What the stop is now, and what it may be turning into."""

    changeover: bool = False
    within: bool = False  # a breakdown within a changeover that goes on
    changing: bool = False  # a changeover runs, or the line is being set up
    carried: str | None = None  # the machine whose fault stood when the changeover began, and still stands
    since: Millis | None = None  # when the turn began that has not lasted the threshold
    found: DowntimeFindings | None = None  # from then on

    @classmethod
    def begin(cls, diagnosis: Diagnosis, *, changing: bool) -> "SplitState":
        """Return what a stop is at its first instant."""
        broken = _is_broken(diagnosis)
        return cls(changeover=changing and not broken, within=changing and broken, changing=changing)

    def observe(self, diagnosis: Diagnosis, *, changing: bool) -> None:
        """Take note of what the line is seen to be."""
        self.changing = changing
        self.within = self.within and changing
        if self.carried not in diagnosis.broken:
            self.carried = None

    @property
    def is_changeover_start(self) -> bool:
        return self.changing and not self.changeover and not self.within

    def is_splitting(self, diagnosis: Diagnosis, *, current_culprit: str | None) -> bool:
        """Return whether the stop becomes the other; not while the machine to blame for a breakdown is not seen."""
        broken = _is_broken(diagnosis)
        if self.changeover:
            return broken and not (self.changing and self.carried == diagnosis.cause_equipment)
        return self.within and not broken and current_culprit not in diagnosis.lost

    def set_forward(self, by: Millis) -> None:
        """The host's clock was set forward: a turn has lasted no longer for that."""
        self.since = None if self.since is None else self.since + by
        if self.found is not None:
            self.found.set_forward(by)

    def complete(self) -> tuple[Millis, DowntimeFindings]:
        """Complete the turn; return since when the stop is what it is now, and what was found from then on."""
        assert self.since is not None, "only a turn that began is completed"
        since, found = self.since, self.found or DowntimeFindings()
        self.changeover, self.since, self.found = not self.changeover, None, None
        self.within = self.changing and not self.changeover
        self.carried = None
        return since, found


def _is_broken(diagnosis: Diagnosis) -> bool:
    """Return whether the line stands as one of its machines failed, and nobody works on that one."""
    return rank_of(diagnosis.cause, diagnosis.cause_equipment, attended=diagnosis.attended) >= FindingRank.CULPRIT
