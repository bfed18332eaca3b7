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
    cause: KnownCause
    changeover: bool = False
    ended_at: int | None = None
    called_for: str | None = None
    called: bool = False
    due_call: tuple[DueCall, int] | None = None  # a call of the breakdown before, and when it is due


@dataclass(slots=True)
class OngoingStop:
    """One stop of the line, from its first instant to the restart."""

    since: int
    cause: KnownCause
    is_changeover: bool
    breakdown_in_changeover: bool  # the changeover continues
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
        """True if a machine of the line, or a neighbour, failed and is not attended."""
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

    def observe(self, view: LineView, at: int) -> None:
        """Learn from a line that is stopped."""
        standing = self.standing
        if standing is None:
            standing = self.standing = OngoingStop(
                at, KnownCause(), view.changing and not view.broken, view.changing and view.broken
            )
        standing.breakdown_in_changeover = standing.breakdown_in_changeover and view.changing
        if standing.carried not in view.finding.broken:
            standing.carried = None
            if self.open is not None:
                self.open.due_call = None
        if view.changing and not standing.is_changeover and not standing.breakdown_in_changeover:
            self._begin_changeover(standing, view, at)
        turns = (
            view.broken and not (view.changing and standing.carried == view.finding.culprit)
            if standing.is_changeover
            else standing.breakdown_in_changeover and not view.broken and self._current.place not in view.finding.unseen
        )
        if not turns:
            standing.turn_since, standing.next_cause = None, None
            self._learn(self._current, view, at)
            return
        if standing.turn_since is None or standing.next_cause is None:
            standing.turn_since, standing.next_cause = at, KnownCause()
        self._learn(standing.next_cause, view, at)

    @property
    def _current(self) -> KnownCause:
        assert self.standing is not None
        return self.standing.cause if self.open is None else self.open.cause

    def _learn(self, cause: KnownCause, view: LineView, at: int) -> None:
        downtime = self.open if self.open is not None and self.open.cause is cause else None
        is_known = cause.stopped is not None or cause.changeover
        place, silent = cause.place, is_known and self._wait(cause, downtime) is None
        cause.learn(view.finding, status=view.status, no_order=view.no_order, changeover=view.changeover)
        if downtime is not None and downtime.called and cause.place not in (None, place, downtime.called_for):
            downtime.called, cause.calls_from = False, at
        elif silent and self._wait(cause, downtime) is not None:
            cause.calls_from = at
            if downtime is not None:
                downtime.called = False  # the person called has left, or the call is open

    def _begin_changeover(self, standing: OngoingStop, view: LineView, at: int) -> None:
        cause = self._current
        breakdown = cause.rank >= Rank.CULPRIT
        standing.carried = cause.place if breakdown and cause.place in view.finding.broken else None
        standing.turn_since, standing.next_cause, standing.is_changeover = None, None, True
        if self.open is None:
            return
        due = self.call_due()
        pending_call = None
        if standing.carried is not None and due is not None and not self.open.called:
            pending_call = (self._wanted(self.open), due)
        if breakdown and self._category(self.open) in ("unplanned", "maintenance") and self.open.started_at < at:
            self._split(at, KnownCause(setup=not view.changeover), changeover=view.changeover)
        self.open.changeover = self.open.changeover or view.changeover
        self.open.cause.changeover = view.changeover
        self.open.due_call = pending_call

    def _split(self, at: int, cause: KnownCause, *, changeover: bool) -> None:
        self.close(at)
        self._open(at, cause, changeover=changeover)

    def changed_over_unseen(self, at: int) -> None:
        """Process a changeover while no machine is observed: broken machines stay broken."""
        standing, downtime = self.standing, self.open
        if standing is None or downtime is None or standing.is_changeover or standing.breakdown_in_changeover:
            return
        cause = downtime.cause
        broken = frozenset({cause.place} if cause.place else ())
        finding = Finding(cause.stopped or "", cause.cause, cause.culprit, cause.reason, cause.rank, broken)
        self._begin_changeover(standing, LineView("offline", no_order=False, finding=finding, changeover=True), at)

    def unwatched(self) -> None:
        """Begin an absence: a pending change of category is dropped."""
        if self.standing is not None:
            self.standing.turn_since, self.standing.next_cause = None, None

    def opened(self, at: int, *, changing: bool) -> None:
        """The stop has lasted the threshold; a reported changeover continues while no machine is observed."""
        standing = self.standing
        assert standing is not None
        standing.cause.changeover = changing
        self._open(standing.since, standing.cause, changeover=changing and standing.is_changeover)
        assert self.open is not None
        if standing.carried is not None:
            wait = self._wait_for_breakdown(self.open.cause)
            if wait is not None:
                self.open.due_call = (self._wanted(self.open), max(self._since(self.open) + wait, at))

    def _open(self, at: int, cause: KnownCause, *, changeover: bool) -> None:
        self.open = ExpectedDowntime(len(self.downtimes), at, cause, changeover)
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
            (deadline for deadline in (turn, self._call_deadline(), self._may_call_at()) if deadline is not None),
            default=None,
        )

    def fire(self, view: LineView | None, at: int) -> None:
        assert self.open is not None
        standing = self.standing
        assert standing is not None
        if standing.turn_since is not None and standing.turn_since + self.threshold == at:
            self._turn(standing, view)
        if self.open.due_call is not None and self._call_deadline() == at:
            due_call, self.open.due_call = self.open.due_call[0], None
            self.calls.call_for(due_call, at)
        elif self._may_call_at() == at:
            due_call = self._wanted(self.open)
            self.open.called, self.open.called_for = True, due_call.place
            self.calls.call_for(due_call, at)

    def _turn(self, standing: OngoingStop, view: LineView | None) -> None:
        assert self.open is not None
        assert standing.turn_since is not None
        since, cause = standing.turn_since, standing.next_cause or KnownCause()
        standing.is_changeover = not standing.is_changeover
        standing.turn_since, standing.next_cause, standing.carried = None, None, None
        changing = view is not None and view.changing
        standing.breakdown_in_changeover = changing and not standing.is_changeover
        changeover = standing.is_changeover and changing
        if self.open.started_at < since:
            self._split(since, cause, changeover=changeover)
        else:
            self.open.cause, self.open.changeover, self.open.due_call = cause, changeover, None

    def _call_deadline(self) -> int | None:
        pending_call = None if self.open is None else self.open.due_call
        return (
            None if pending_call is None or self.calls.must_wait(pending_call[0]) else max(pending_call[1], self._now)
        )

    def _may_call_at(self) -> int | None:
        """Return when it calls; None as long as an earlier call of the downtime has to end first."""
        due = self.call_due()
        assert due is None or self.open is not None
        return None if due is None or self.open is None or self.calls.must_wait(self._wanted(self.open)) else due

    def call_due(self) -> int | None:
        downtime = self.open
        if downtime is None or downtime.called:
            return None
        wait = self._wait(downtime.cause, downtime)
        return None if wait is None else max(self._since(downtime) + wait, self._now)

    def now(self, at: int) -> None:
        """Note the time: no call is due before it."""
        self._now = at

    @staticmethod
    def _since(downtime: ExpectedDowntime) -> int:
        return max(downtime.started_at, downtime.cause.calls_from or 0)

    def _wait(self, cause: KnownCause, downtime: ExpectedDowntime | None) -> int | None:
        """Return how long such a stop lasts before it calls; None while it makes no call."""
        reason = self._reason_to_call(cause)
        changing = cause.changeover and downtime is not None and downtime.changeover
        if cause.attended or changing:
            return None
        if reason is not None:
            return reason.call_ms if reason.category == "unplanned" else None
        return None if cause.awaited and cause.rank < Rank.CULPRIT else UNCLASSIFIED_MS

    def _wait_for_breakdown(self, cause: KnownCause) -> int | None:
        reason = self._reason_to_call(cause)
        return UNCLASSIFIED_MS if reason is None else reason.call_ms

    def _reason(self, cause: KnownCause) -> ReasonFacts | None:
        return self.plant.reasons.get(cause.reason or "")

    def _reason_to_call(self, cause: KnownCause) -> ReasonFacts | None:
        if cause.successor is None:
            return self._reason(cause)
        return self.plant.reasons.get(cause.successor_reason or "")

    def _wanted(self, downtime: ExpectedDowntime) -> DueCall:
        cause, reason = downtime.cause, self._reason_to_call(downtime.cause)
        place = cause.place or cause.stopped
        assert place is not None
        andon_type = "equipment" if reason is None else reason.andon_type
        priority = PRIORITY[andon_type] if reason is None else reason.priority
        return DueCall(place, andon_type, priority, downtime.number, downtime.started_at, cause.stopped or "")

    def _category(self, downtime: ExpectedDowntime) -> str:
        cause = downtime.cause
        return self._category_by(self._reason(cause), cause, changing=downtime.changeover or cause.setup)

    @staticmethod
    def _category_by(reason: ReasonFacts | None, cause: KnownCause, *, changing: bool) -> str:
        if changing:
            return "changeover"
        if reason is not None:
            return reason.category
        if cause.maintenance:
            return "maintenance"
        return "planned" if cause.shown_cause == "planned" else "unplanned"

    def facts(self) -> None:
        """Note every downtime as it turned out."""
        for downtime in self.downtimes:
            cause = downtime.cause
            self.note(Fact("downtime", self.line, "begin", downtime.started_at))
            if downtime.ended_at is not None:
                self.note(Fact("downtime", self.line, "end", downtime.ended_at))
            self.note(Fact("cause", self.line, cause.shown_cause, downtime.started_at, (cause.culprit, cause.stopped)))
            self.note(Fact("category", self.line, self._category(downtime), downtime.started_at, (cause.reason,)))
