"""Changeovers of one line, from the last piece of the old run to the Nth good piece of the new one.

Source: domain.md, «Changeover». The signal is a report, a command, a mode (the line is in setup), or a product change
while stopped. `started_at` is the last piece before the signal, so it may lie before `signalled_at`. A mode names no
product: its changeover is emitted once the product is known, dated at the mode, and completed by the piece that was
made meanwhile. Changeovers never overlap: nothing of one is dated before the end of the one before.
"""

from typing import Final, Literal, NamedTuple

from msgspec import Struct

from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Changeover
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.plant import LineConfig, Plant
from bridge.domain.reports import APPLIED, ChangeoverReport, Disposition, Moment, rejected, suppressed
from bridge.domain.utc_time import Millis, rfc3339, rfc3339_or_none

COUNTS_INTERVAL_MS: Final = 10_000
"""Interval at which changing counts are due; `registers.MAX_REPORT_DELAY_MS`, by when they arrive, adds half of it."""


class HiddenPieces(NamedTuple):
    """Pieces hidden by an earlier report that was in doubt: when it arrived, and the pieces it certainly contained."""

    at: Millis
    good: int
    reject: int


class ChangeoverRecord(Struct, kw_only=True):
    """A running changeover, and the pieces made since it started."""

    changeover_id: str
    from_product: str | None
    to_product: str
    started_at: Millis
    signalled_at: Millis
    good: int = 0
    startup_rejects: int = 0


class SetupSignal(Struct):
    """A mode that signalled a changeover whose product is still unknown, and the pieces made since."""

    since: Millis
    run_ended: Millis | None = None  # the last piece before the mode
    good: int = 0
    rejects: int = 0
    completed_at: Millis | None = None  # the Nth good piece


class ChangeoverState(Struct, rename={"stopped_since": "stands_since"}):
    """Checkpointed. `product`: what the line is set up for, if known."""

    next_number: int = 1
    product: str | None = None
    last_piece_at: Millis | None = None
    ended_at: Millis | None = None  # end of the changeover before: the next one cannot begin earlier
    running: ChangeoverRecord | None = None
    setup: SetupSignal | None = None  # the line was set up, and has made no good piece while running since
    in_setup: bool = False  # a mode that lasts is one signal
    stopped_since: Millis | None = None  # None: it runs, or its state is unknown


class Changeovers:
    """The line's changeovers, at most one of them running."""

    def __init__(
        self, state: ChangeoverState, *, place: Place, plant: Plant, spec: LineConfig, emitter: Emitter
    ) -> None:
        self._state = state
        self._line = place.line
        self._plant = plant
        self._good_pieces = plant.rules_of(spec).changeover_good_pieces
        self._emitter = emitter

    @property
    def running(self) -> ChangeoverRecord | None:
        return self._state.running

    def apply(self, body: ChangeoverReport, *, moment: Moment) -> Disposition:
        """Start or complete a changeover, or return why not; it is the line's, whatever the source."""
        return self._apply_start(body, moment) if body.action == "start" else self._apply_complete(body, moment)

    def observe_setup(self, *, in_setup: bool, at: Millis) -> None:
        """Record whether the line is in setup; entering that mode is the signal."""
        state = self._state
        if in_setup and not state.in_setup and state.setup is None:
            state.setup = SetupSignal(since=at, run_ended=state.last_piece_at)
        state.in_setup = in_setup

    def observe_standstill(self, *, is_stopped: bool, at: Millis) -> None:
        """Record whether the line is known to be stopped: no piece is made from then on."""
        state = self._state
        state.stopped_since = (at if state.stopped_since is None else state.stopped_since) if is_stopped else None

    def observe_product_change(self, *, from_product: str | None, to_product: str, runs: bool, moment: Moment) -> None:
        """Start a changeover for a product change, unless it is expected; a change from None is only recorded.

        A change while the line runs signals nothing, unless a mode did before.
        """
        state = self._state
        running, setup = state.running, state.setup
        expected = state.product if running is None else running.to_product
        if expected == to_product:
            return  # the machine confirms late what a report or a changeover announced
        before = from_product if running is None else running.from_product
        if running is None and runs and setup is None:
            before = None
        self.abandon(moment=moment)
        state.product = to_product
        if before is None or before == to_product:
            return
        self._start(before, to_product, moment, setup=setup)
        if setup is not None and setup.completed_at is not None and state.running is not None:
            state.running.good, state.running.startup_rejects = setup.good, setup.rejects
            self._end(state.running, "completed", moment, at=setup.completed_at)

    def count(self, *, good: int, reject: int, runs: bool, moment: Moment, hidden: HiddenPieces | None = None) -> None:
        """Count pieces made; rejects counted with the completing good piece are start-up rejects too.

        Hidden pieces were made by the time of the doubtful report; those from before the signal belong to the old run.
        """
        if hidden is not None:
            if self._was_stopped_since(hidden.at, now=moment.at):
                hidden = hidden._replace(good=good, reject=reject)
            self._count(hidden.good, hidden.reject, runs=runs, moment=moment, hidden_until=hidden.at)
            good, reject = good - hidden.good, reject - hidden.reject
        self._count(good, reject, runs=runs, moment=moment)

    def _was_stopped_since(self, since: Millis, *, now: Millis) -> bool:
        """Return whether nothing was made since a doubtful report: another was due, and the line is stopped."""
        due, stopped_since = since + COUNTS_INTERVAL_MS, self._state.stopped_since
        return stopped_since is not None and stopped_since <= due < now - COUNTS_INTERVAL_MS // 2

    def _count(self, good: int, reject: int, *, runs: bool, moment: Moment, hidden_until: Millis | None = None) -> None:
        if good <= 0 and reject <= 0:
            return
        state, at = self._state, moment.at if hidden_until is None else hidden_until
        state.last_piece_at = at if state.last_piece_at is None else max(state.last_piece_at, at)
        running = state.running
        if running is None:
            self._count_in_setup(good, reject, runs=runs, at=at, hidden=hidden_until is not None)
            return
        if hidden_until is not None and at <= running.signalled_at:
            running.started_at = max(running.started_at, at)
            return
        running.good += max(0, good)
        running.startup_rejects += reject  # negative if good pieces are reported after their total
        if running.good >= self._good_pieces:
            self._end(running, "completed", moment, at=at)

    def abandon(self, *, moment: Moment) -> None:
        """End the running changeover, if any, as abandoned: its job was cancelled, or another product followed."""
        if self._state.running is not None:
            self._end(self._state.running, "abandoned", moment)

    def _count_in_setup(self, good: int, reject: int, *, runs: bool, at: Millis, hidden: bool) -> None:
        setup = self._state.setup
        if setup is None:
            return
        if hidden and at <= setup.since:
            setup.run_ended = at if setup.run_ended is None else max(setup.run_ended, at)
            return
        if runs and good > 0:
            self._state.setup = None  # it runs without a product change: it was set up for the same product
            return
        if setup.completed_at is not None:
            return
        setup.good += max(0, good)
        setup.rejects += reject
        if setup.good >= self._good_pieces:
            setup.completed_at = at

    def _apply_start(self, body: ChangeoverReport, moment: Moment) -> Disposition:
        if body.to_product is None:
            return rejected("incomplete")
        running = self._state.running
        if running is not None:
            same = running.to_product == body.to_product
            return suppressed("already_running") if same else rejected("changeover_running")
        before = body.from_product or self._state.product
        if before == body.to_product:
            return suppressed("same_product")
        self._start(before, body.to_product, moment, setup=None)
        return APPLIED

    def _apply_complete(self, body: ChangeoverReport, moment: Moment) -> Disposition:
        running = self._state.running
        if running is None:
            return rejected("no_changeover_running")
        if body.to_product not in {None, running.to_product}:
            return rejected("other_changeover_running")
        if moment.at < running.signalled_at:
            return suppressed("older_than_start")
        self._end(running, "completed", moment)
        return APPLIED

    def _start(self, from_product: str | None, to_product: str, moment: Moment, *, setup: SetupSignal | None) -> None:
        state = self._state
        number = state.next_number
        state.next_number += 1
        signalled_at = max(moment.at if setup is None else setup.since, state.ended_at or 0)
        last_piece_at = state.last_piece_at if setup is None else setup.run_ended
        run_ended = max((at for at in (last_piece_at, state.ended_at) if at is not None), default=signalled_at)
        record = ChangeoverRecord(
            changeover_id=f"{self._line}.change.{number}",
            from_product=from_product,
            to_product=to_product,
            started_at=min(run_ended, signalled_at),
            signalled_at=signalled_at,
        )
        state.running = record
        self._emit(EventType.CHANGEOVER_STARTED, record, moment)

    def _end(
        self,
        record: ChangeoverRecord,
        outcome: Literal["completed", "abandoned"],
        moment: Moment,
        *,
        at: Millis | None = None,
    ) -> None:
        ended_at = moment.at if at is None else max(at, record.signalled_at)
        state = self._state
        state.running, state.ended_at = None, ended_at
        if outcome == "completed":
            state.setup = None  # the signalled changeover has happened
        state.product = record.to_product if outcome == "completed" else record.from_product
        self._emit(EventType.CHANGEOVER_COMPLETED, record, moment, outcome=outcome, ended_at=ended_at)

    def _emit(
        self,
        event_type: EventType,
        record: ChangeoverRecord,
        moment: Moment,
        *,
        outcome: Literal["completed", "abandoned"] | None = None,
        ended_at: Millis | None = None,
    ) -> None:
        product = self._plant.find_product(record.to_product)
        data = Changeover(
            changeover_id=record.changeover_id,
            to_product=record.to_product,
            started_at=rfc3339(record.started_at),
            signalled_at=rfc3339(record.signalled_at),
            from_product=record.from_product,
            completed_at=rfc3339_or_none(ended_at),
            duration_seconds=None if ended_at is None else (ended_at - record.started_at) / 1000,
            target_seconds=None if product is None else product.changeover_seconds,
            startup_rejects=None if ended_at is None else max(0, record.startup_rejects),
            outcome=outcome,
        )
        self._emitter.emit(
            event_type,
            data,
            moment=moment,
            equipment=None,
            subject=record.changeover_id,
            priority=Priority.MEDIUM,
            standing=Standing.CURRENT if ended_at is None else Standing.CLOSED,
        )
