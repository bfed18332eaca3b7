"""The downtimes of one line: their cause and culprit, category, splits by changeovers, and automatic calls.

Source: domain.md, «Downtime». A better finding replaces a worse one. A changeover that starts during a known breakdown
splits the downtime; a fault that lasts the threshold during a changeover splits it again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.recount.andon_call import DueCall
from tests.recount.andon_calls import CallTracker
from tests.recount.culprits import Finding, Rank
from tests.recount.fact import Fact
from tests.recount.plant_facts import PRIORITY, PlantFacts, ReasonFacts
from tests.recount.stop_cause import KnownCause

UNCLASSIFIED_MS: Final = 300_000


@dataclass(slots=True)
class ExpectedDowntime:
    number: int
    started_at: int
    trouble: KnownCause
    changeover: bool = False
    ended_at: int | None = None
    called_for: str | None = None
    called: bool = False
    due_call: tuple[DueCall, int] | None = None  # a call of the breakdown before, and when it is due


@dataclass(slots=True)
class OngoingStop:
    """One stop of the line, from its first instant to the restart."""

    since: int
    trouble: KnownCause
    is_changeover: bool
    breakdown_in_changeover: bool  # a breakdown within a changeover that goes on
    carried: str | None = None  # a machine that was broken when the changeover began, and still is
    turn_since: int | None = None
    next_cause: KnownCause | None = None


@dataclass(slots=True)
class LineView:
    """The line at one instant."""

    status: str
    no_order: bool
    finding: Finding
    changeover: bool  # one is running

    @property
    def changing(self) -> bool:
        return self.changeover or self.status == "setup"

    @property
    def broken(self) -> bool:
        """Whether a machine of the line, or a neighbour, failed and is not attended."""
        return self.finding.rank >= Rank.CULPRIT


@dataclass(slots=True)
class DowntimeTracker:
    plant: PlantFacts
    line: str
    calls: CallTracker
    note: Callable[[Fact], None]
    threshold: int
    downtimes: list[ExpectedDowntime] = field(default_factory=list)
    standing: OngoingStop | None = None
    open: ExpectedDowntime | None = None
    _now: int = 0

    def observe(self, look: LineView, at: int) -> None:
        """Learn from a line that is stopped."""
        standing = self.standing
        if standing is None:
            standing = self.standing = OngoingStop(
                at, KnownCause(), look.changing and not look.broken, look.changing and look.broken
            )
        standing.breakdown_in_changeover = standing.breakdown_in_changeover and look.changing
        if standing.carried not in look.finding.broken:
            standing.carried = None
            if self.open is not None:
                self.open.due_call = None
        if look.changing and not standing.is_changeover and not standing.breakdown_in_changeover:
            self._begin_changeover(standing, look, at)
        turns = (
            look.broken and not (look.changing and standing.carried == look.finding.culprit)
            if standing.is_changeover
            else standing.breakdown_in_changeover and not look.broken and self._current.place not in look.finding.unseen
        )
        if not turns:
            standing.turn_since, standing.next_cause = None, None
            self._learn(self._current, look, at)
            return
        if standing.turn_since is None or standing.next_cause is None:
            standing.turn_since, standing.next_cause = at, KnownCause()
        self._learn(standing.next_cause, look, at)

    @property
    def _current(self) -> KnownCause:
        assert self.standing is not None
        return self.standing.trouble if self.open is None else self.open.trouble

    def _learn(self, trouble: KnownCause, look: LineView, at: int) -> None:
        downtime = self.open if self.open is not None and self.open.trouble is trouble else None
        is_known = trouble.stopped is not None or trouble.changeover
        place, silent = trouble.place, is_known and self._wait(trouble, downtime) is None
        trouble.learn(look.finding, status=look.status, no_order=look.no_order, changeover=look.changeover)
        if downtime is not None and downtime.called and trouble.place not in (None, place, downtime.called_for):
            downtime.called, trouble.calls_from = False, at
        elif silent and self._wait(trouble, downtime) is not None:
            trouble.calls_from = at
            if downtime is not None:
                downtime.called = False  # the person called has left, or the call is open

    def _begin_changeover(self, standing: OngoingStop, look: LineView, at: int) -> None:
        trouble = self._current
        breakdown = trouble.rank >= Rank.CULPRIT
        standing.carried = trouble.place if breakdown and trouble.place in look.finding.broken else None
        standing.turn_since, standing.next_cause, standing.is_changeover = None, None, True
        if self.open is None:
            return
        due = self.call_due()
        owed = None
        if standing.carried is not None and due is not None and not self.open.called:
            owed = (self._wanted(self.open), due)
        if breakdown and self._category(self.open) in ("unplanned", "maintenance") and self.open.started_at < at:
            self._split(at, KnownCause(setup=not look.changeover), changeover=look.changeover)
        self.open.changeover = self.open.changeover or look.changeover
        self.open.trouble.changeover = look.changeover
        self.open.due_call = owed

    def _split(self, at: int, trouble: KnownCause, *, changeover: bool) -> None:
        self.close(at)
        self._open(at, trouble, changeover=changeover)

    def changed_over_unseen(self, at: int) -> None:
        """Process a changeover while no machine is observed: broken machines stay broken."""
        standing, downtime = self.standing, self.open
        if standing is None or downtime is None or standing.is_changeover or standing.breakdown_in_changeover:
            return
        trouble = downtime.trouble
        broken = frozenset({trouble.place} if trouble.place else ())
        finding = Finding(trouble.stopped or "", trouble.cause, trouble.culprit, trouble.reason, trouble.rank, broken)
        self._begin_changeover(standing, LineView("offline", no_order=False, finding=finding, changeover=True), at)

    def unwatched(self) -> None:
        """Begin an absence: a pending change of category is dropped."""
        if self.standing is not None:
            self.standing.turn_since, self.standing.next_cause = None, None

    def opened(self, at: int, *, changing: bool) -> None:
        """The stop has lasted the threshold; a reported changeover continues while no machine is observed."""
        standing = self.standing
        assert standing is not None
        standing.trouble.changeover = changing
        self._open(standing.since, standing.trouble, changeover=changing and standing.is_changeover)
        assert self.open is not None
        if standing.carried is not None:
            wait = self._wait_for_breakdown(self.open.trouble)
            if wait is not None:
                self.open.due_call = (self._wanted(self.open), max(self._since(self.open) + wait, at))

    def _open(self, at: int, trouble: KnownCause, *, changeover: bool) -> None:
        self.open = ExpectedDowntime(len(self.downtimes), at, trouble, changeover)
        self.downtimes.append(self.open)

    def close(self, at: int) -> None:
        assert self.open is not None
        self.open.ended_at = at
        self.open = None

    def end(self) -> None:
        self.standing = None

    # Deadlines

    def due(self) -> int | None:
        if self.open is None or self.standing is None:
            return None
        turn = None if self.standing.turn_since is None else self.standing.turn_since + self.threshold
        return min(
            (deadline for deadline in (turn, self._owed_due(), self._may_call_at()) if deadline is not None),
            default=None,
        )

    def fire(self, look: LineView | None, at: int) -> None:
        assert self.open is not None
        standing = self.standing
        assert standing is not None
        if standing.turn_since is not None and standing.turn_since + self.threshold == at:
            self._turn(standing, look)
        if self.open.due_call is not None and self._owed_due() == at:
            wanted, self.open.due_call = self.open.due_call[0], None
            self.calls.call_for(wanted, at)
        elif self._may_call_at() == at:
            wanted = self._wanted(self.open)
            self.open.called, self.open.called_for = True, wanted.place
            self.calls.call_for(wanted, at)

    def _turn(self, standing: OngoingStop, look: LineView | None) -> None:
        assert self.open is not None
        assert standing.turn_since is not None
        since, trouble = standing.turn_since, standing.next_cause or KnownCause()
        standing.is_changeover = not standing.is_changeover
        standing.turn_since, standing.next_cause, standing.carried = None, None, None
        changing = look is not None and look.changing
        standing.breakdown_in_changeover = changing and not standing.is_changeover
        changeover = standing.is_changeover and changing
        if self.open.started_at < since:
            self._split(since, trouble, changeover=changeover)
        else:
            self.open.trouble, self.open.changeover, self.open.due_call = trouble, changeover, None

    def _owed_due(self) -> int | None:
        owed = None if self.open is None else self.open.due_call
        return None if owed is None or self.calls.must_wait(owed[0]) else max(owed[1], self._now)

    def _may_call_at(self) -> int | None:
        """Return when it calls; None as long as an earlier call of the downtime has to end first."""
        due = self.call_due()
        assert due is None or self.open is not None
        return None if due is None or self.open is None or self.calls.must_wait(self._wanted(self.open)) else due

    def call_due(self) -> int | None:
        downtime = self.open
        if downtime is None or downtime.called:
            return None
        wait = self._wait(downtime.trouble, downtime)
        return None if wait is None else max(self._since(downtime) + wait, self._now)

    def now(self, at: int) -> None:
        """Note the time: no call is due before it."""
        self._now = at

    @staticmethod
    def _since(downtime: ExpectedDowntime) -> int:
        return max(downtime.started_at, downtime.trouble.calls_from or 0)

    def _wait(self, trouble: KnownCause, downtime: ExpectedDowntime | None) -> int | None:
        """Return how long such a stop lasts before it calls; None while it makes no call."""
        reason = self._reason_to_call(trouble)
        changing = trouble.changeover and downtime is not None and downtime.changeover
        if trouble.attended or changing:
            return None
        if reason is not None:
            return reason.call_ms if reason.category == "unplanned" else None
        return None if trouble.awaited and trouble.rank < Rank.CULPRIT else UNCLASSIFIED_MS

    def _wait_for_breakdown(self, trouble: KnownCause) -> int | None:
        reason = self._reason_to_call(trouble)
        return UNCLASSIFIED_MS if reason is None else reason.call_ms

    def _reason(self, trouble: KnownCause) -> ReasonFacts | None:
        return self.plant.reasons.get(trouble.reason or "")

    def _reason_to_call(self, trouble: KnownCause) -> ReasonFacts | None:
        if trouble.successor is None:
            return self._reason(trouble)
        return self.plant.reasons.get(trouble.successor_reason or "")

    def _wanted(self, downtime: ExpectedDowntime) -> DueCall:
        trouble, reason = downtime.trouble, self._reason_to_call(downtime.trouble)
        place = trouble.place or trouble.stopped
        assert place is not None
        andon_type = "equipment" if reason is None else reason.andon_type
        priority = PRIORITY[andon_type] if reason is None else reason.priority
        return DueCall(place, andon_type, priority, downtime.number, downtime.started_at, trouble.stopped or "")

    def _category(self, downtime: ExpectedDowntime) -> str:
        trouble = downtime.trouble
        return self._category_by(self._reason(trouble), trouble, changing=downtime.changeover or trouble.setup)

    @staticmethod
    def _category_by(reason: ReasonFacts | None, trouble: KnownCause, *, changing: bool) -> str:
        if changing:
            return "changeover"
        if reason is not None:
            return reason.category
        if trouble.maintenance:
            return "maintenance"
        return "planned" if trouble.shown_cause == "planned" else "unplanned"

    def facts(self) -> None:
        """Note every downtime as it turned out."""
        for downtime in self.downtimes:
            trouble = downtime.trouble
            self.note(Fact("downtime", self.line, "begin", downtime.started_at))
            if downtime.ended_at is not None:
                self.note(Fact("downtime", self.line, "end", downtime.ended_at))
            self.note(
                Fact("cause", self.line, trouble.shown_cause, downtime.started_at, (trouble.culprit, trouble.stopped))
            )
            self.note(Fact("category", self.line, self._category(downtime), downtime.started_at, (trouble.reason,)))
