"""Analysis of one stop: what its diagnoses say about cause and kind. Source: domain.md, «Downtime».

It emits nothing and needs no downtime, so it serves stops that last and stops of the past alike.
"""

from collections.abc import Sequence

from msgspec import Struct

from bridge.domain.line.downtime.call_rule import AutoCallRule
from bridge.domain.line.downtime.findings import DowntimeFindings
from bridge.domain.line.downtime.record import DowntimeRecord
from bridge.domain.line.downtime.split import SplitState
from bridge.domain.line.downtime.timeline import Observation
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.utc_time import Millis


class StopAnalysis(Struct, frozen=True):
    """The findings and the split state of a stop, both updated in place."""

    findings: DowntimeFindings
    split: SplitState
    call_rule: AutoCallRule

    @classmethod
    def begin(cls, diagnosis: Diagnosis, *, changeover: bool, call_rule: AutoCallRule) -> "StopAnalysis":
        """Return the analysis of a stop at its first instant, to be updated with the same diagnosis."""
        split = SplitState.begin(diagnosis, changing=_is_changing(diagnosis, changeover=changeover))
        return cls(DowntimeFindings(), split, call_rule)

    def observe(self, diagnosis: Diagnosis, *, changeover: bool, at: Millis) -> None:
        """Update a stop that has no downtime."""
        if self.update_split(diagnosis, changeover=changeover):
            self.begin_changeover(still_broken=self.is_still_broken(diagnosis))
        self.add_diagnosis(diagnosis, record=None, changeover=changeover, at=at)

    def update_split(self, diagnosis: Diagnosis, *, changeover: bool) -> bool:
        """Update the split state; return whether the stop becomes a changeover."""
        self.split.observe(diagnosis, changing=_is_changing(diagnosis, changeover=changeover))
        return self.split.is_changeover_start

    def is_still_broken(self, diagnosis: Diagnosis) -> bool:
        """Return whether the machine that kept the line stopped is not repaired."""
        return self.findings.current_culprit in diagnosis.broken

    def begin_changeover(self, *, still_broken: bool) -> None:
        """Make the stop a changeover. The fault of a machine that is still broken is carried into it."""
        carried_machine = self.findings.current_culprit if self.findings.is_breakdown and still_broken else None
        self.drop_split()
        self.split.changeover, self.split.carried_machine = True, carried_machine

    def drop_split(self) -> None:
        """Discard a pending switch that did not last; keep its faults, which did happen."""
        if self.split.findings is not None:
            self.findings.add_faults(self.split.findings.faults)
        self.split.since, self.split.findings = None, None

    def add_diagnosis(
        self, diagnosis: Diagnosis, *, record: DowntimeRecord | None, changeover: bool, at: Millis
    ) -> None:
        """Add a diagnosis to the findings, or to those of a pending switch. `record`: the stop's open downtime."""
        split = self.split
        if not split.is_splitting(diagnosis, current_culprit=self.findings.current_culprit):
            self.drop_split()
            self._add_findings(self.findings, diagnosis, record=record, changing=changeover, at=at)
            return
        if split.since is None or split.findings is None:
            split.since, split.findings = at, DowntimeFindings()
        self._add_findings(split.findings, diagnosis, record=None, changing=changeover, at=at)

    def _add_findings(
        self,
        findings: DowntimeFindings,
        diagnosis: Diagnosis,
        *,
        record: DowntimeRecord | None,
        changing: bool,
        at: Millis,
    ) -> None:
        """Add a diagnosis; if it makes a call necessary, the call's wait begins now."""
        downtime = DowntimeRecord(downtime_id="", started_at=at, findings=findings) if record is None else record
        has_findings = findings.equipment is not None or findings.changing
        previous_culprit = findings.current_culprit
        needed_no_call = has_findings and self.call_rule.wait_ms(downtime) is None
        findings.add_diagnosis(diagnosis, changing=changing)
        # Responders at the first machine are not at the second, and people who worked here have left.
        known_culprits = (None, previous_culprit, downtime.called_for)
        is_new_culprit = downtime.called and findings.current_culprit not in known_culprits
        if is_new_culprit or (needed_no_call and self.call_rule.wait_ms(downtime) is not None):
            downtime.called, findings.since = False, at


def analyze_stop(
    observations: Sequence[Observation], *, changeover_since: Millis | None, call_rule: AutoCallRule
) -> StopAnalysis:
    """Return what a stop's observations say about it. `changeover_since`: start of the changeover that runs now."""
    analysis: StopAnalysis | None = None
    changeover = False
    for observation in observations:
        diagnosis = observation.diagnosis
        if diagnosis is None or diagnosis.status == "offline":
            continue
        if changeover_since is not None:
            changeover = changeover or observation.at > changeover_since or diagnosis.status == "setup"
        if analysis is None:
            analysis = StopAnalysis.begin(diagnosis, changeover=changeover, call_rule=call_rule)
        analysis.observe(diagnosis, changeover=changeover, at=observation.at)
    return analysis or StopAnalysis(DowntimeFindings(), SplitState(), call_rule)


def _is_changing(diagnosis: Diagnosis, *, changeover: bool) -> bool:
    return changeover or diagnosis.status == "setup"
