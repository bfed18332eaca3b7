"""Findings on one stop: cause, culprit and reason, as far as they are known. Source: domain.md, «Downtime».

A better finding replaces cause, culprit and reason together; a worse one changes nothing. Faults are only added. If the
culprit is repaired and another machine keeps the line stopped, cause and culprit stay; the call is for that machine.
`worked_on`, `expected` and `changing` suppress calls; they describe only the present.
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct, field

from bridge.domain.event_data import DowntimeCause, FaultNote
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.utc_time import Millis

MAX_FAULTS: Final = 32  # fault notes of one downtime: bounds what a chattering machine can put into one event


class FindingRank(IntEnum):
    """Rank of a finding by how well it explains the stop; the greater is better."""

    UNKNOWN = 0
    PLANNED = 1
    WAITING = 2  # starved or blocked, and no machine of the line is to blame
    ATTENDED = 3  # the culprit is under maintenance or being set up
    CULPRIT = 4
    INTERNAL = 5


def rank_of(cause: DowntimeCause, culprit: str | None, *, attended: bool) -> FindingRank:
    if cause in ("upstream", "downstream"):
        if culprit is None:
            return FindingRank.WAITING
        return FindingRank.ATTENDED if attended else FindingRank.CULPRIT
    return {"internal": FindingRank.INTERNAL, "planned": FindingRank.PLANNED}.get(cause, FindingRank.UNKNOWN)


class FurtherCulprit(Struct):
    """A machine that keeps the line stopped after the downtime's culprit is repaired."""

    equipment: str
    reason_code: str | None


class DowntimeFindings(Struct):
    """Findings about a stop: its culprit, cause and reason, and whether it requires a call."""

    equipment: str | None = None  # what stopped
    cause: DowntimeCause = "unknown"
    cause_equipment: str | None = None
    reason_code: str | None = None
    maintenance: bool = False
    setup: bool = False
    no_order: bool = False  # for part of the stop there was no order
    faults: list[FaultNote] = field(default_factory=list)
    attended: bool = False  # somebody was already working on the culprit when it was found
    worked_on: bool = False  # now: somebody works on the call's target, or on what keeps the line stopped
    expected: bool = False  # now: starved or blocked from outside the line, planned, or without an order
    changing: bool = False  # now: a changeover is running
    since: Millis | None = None  # when it first required a call; None: from the stop on
    further: FurtherCulprit | None = None

    def set_forward(self, by: Millis) -> None:
        """Delay the start of the call's wait by a forward step of the host's clock."""
        self.since = None if self.since is None else self.since + by

    @property
    def rank(self) -> FindingRank:
        return rank_of(self.cause, self.cause_equipment, attended=self.attended)

    @property
    def is_breakdown(self) -> bool:
        """Return whether a failed machine of the line is the cause of the stop."""
        return self.rank >= FindingRank.CULPRIT

    @property
    def current_culprit(self) -> str | None:
        """The machine of the line that keeps it stopped now, if any."""
        return self.cause_equipment if self.further is None else self.further.equipment

    @property
    def call_target(self) -> str | None:
        """The machine that a call is for: the current culprit, else the one that stopped."""
        return self.current_culprit or self.equipment

    @property
    def current_reason_code(self) -> str | None:
        """The reason code of the machine that keeps the line stopped now."""
        return self.reason_code if self.further is None else self.further.reason_code

    @property
    def reported_cause(self) -> DowntimeCause:
        """The cause to report: waiting for an order is planned, unless a machine is the cause."""
        return "planned" if self.no_order and self.cause == "unknown" else self.cause

    def add_diagnosis(self, diagnosis: Diagnosis, *, changing: bool) -> None:
        rank = rank_of(diagnosis.cause, diagnosis.cause_equipment, attended=diagnosis.attended)
        if self.equipment is None or rank > self.rank:
            self.equipment, self.cause, self.cause_equipment = (
                diagnosis.equipment,
                diagnosis.cause,
                diagnosis.cause_equipment,
            )
            self.reason_code, self.attended, self.further = diagnosis.reason_code, diagnosis.attended, None
        elif self._may_give_reason(diagnosis, rank):
            self.reason_code = diagnosis.reason_code or self.reason_code
        attended = diagnosis.attended or diagnosis.equipment in diagnosis.worked_on
        self.expected = rank in (FindingRank.WAITING, FindingRank.PLANNED) or diagnosis.status_cause == "no_order"
        if rank >= FindingRank.CULPRIT:
            self._set_culprit(diagnosis.cause_equipment, diagnosis)
            self.maintenance = False  # maintenance before this failure does not explain the stop now
        elif rank is FindingRank.UNKNOWN and not (attended or self.expected) and self._is_culprit_repaired(diagnosis):
            self._set_culprit(diagnosis.equipment, diagnosis)  # left stopped, nobody works on it
        self.maintenance = self.maintenance or diagnosis.status == "maintenance"
        self.setup = self.setup or diagnosis.status == "setup"
        self.no_order = self.no_order or diagnosis.status_cause == "no_order"
        self.add_faults(diagnosis.faults)
        target = self.call_target
        self.worked_on = target in diagnosis.worked_on or (attended and target not in diagnosis.broken)
        self.changing = changing

    def add_faults(self, notes: tuple[FaultNote, ...] | list[FaultNote]) -> None:
        existing = {(note.code, note.since) for note in self.faults}
        self.faults += [note for note in notes if (note.code, note.since) not in existing]
        del self.faults[MAX_FAULTS:]

    def _is_culprit_repaired(self, diagnosis: Diagnosis) -> bool:
        """Return whether the stop had a culprit that is now repaired."""
        return self.current_culprit is not None and self.current_culprit not in diagnosis.broken

    def _set_culprit(self, machine: str | None, diagnosis: Diagnosis) -> None:
        """Set the machine that keeps the line stopped now; another one only if the previous one is repaired."""
        assert machine is not None, "this rank has a culprit, and a stopped line a machine that stopped"
        if machine == self.cause_equipment:
            self.further = None
        elif machine != self.current_culprit and self.current_culprit not in diagnosis.broken:
            self.further = FurtherCulprit(machine, diagnosis.reason_code)
        elif self.further is not None and machine == self.further.equipment:
            self.further.reason_code = diagnosis.reason_code or self.further.reason_code

    def _may_give_reason(self, diagnosis: Diagnosis, rank: FindingRank) -> bool:
        """Return whether a reason is for this stop: same finding, or same machine without a finding."""
        same = (diagnosis.cause, diagnosis.cause_equipment) == (self.cause, self.cause_equipment)
        return same or (rank is FindingRank.UNKNOWN and diagnosis.equipment == self.equipment)
