"""The changeovers of one line: from the last piece of the old run to the Nth good piece of the new one.

Source: DOMAIN, «Changeover». Signalled by a report, a command, a mode (the line is being set up), or a product change
while stopped; `started_at` is the last piece before the signal, so it may lie before `signalled_at`. A mode does not
say to what: its changeover is told as soon as the product is known, dated at the mode.
"""

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from bridge.core.emitter import Emitter
from bridge.core.event_data import Changeover
from bridge.core.events import EventType, Millis, Place, Priority, Standing, rfc3339
from bridge.core.plant import Line, Plant
from bridge.core.reports import APPLIED, ChangeoverReport, Disposition, Moment, rejected, suppressed


class ChangeoverRecord(Struct, kw_only=True):
    changeover_id: str
    from_product: str | None
    to_product: str
    started_at: Millis
    signalled_at: Millis
    good: int = 0
    startup_rejects: int = 0


class ChangeoverState(Struct):
    """Checkpointed. `product` is what the line is set up for, as far as known."""

    next_number: int = 1
    product: str | None = None
    last_piece_at: Millis | None = None
    ended_at: Millis | None = None  # of the changeover before: the next one cannot begin within it
    running: ChangeoverRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningChangeover:
    changeover_id: str
    from_product: str | None
    to_product: str
    started_at: Millis
    signalled_at: Millis


class Changeovers:
    """The line's changeovers, of which one at most is running."""

    def __init__(self, state: ChangeoverState, *, place: Place, plant: Plant, spec: Line, emitter: Emitter) -> None:
        self._state = state
        self._line = place.line
        self._plant = plant
        self._good_pieces = plant.rules_of(spec).changeover_good_pieces
        self._emitter = emitter

    @property
    def running(self) -> RunningChangeover | None:
        record = self._state.running
        if record is None:
            return None
        return RunningChangeover(
            changeover_id=record.changeover_id,
            from_product=record.from_product,
            to_product=record.to_product,
            started_at=record.started_at,
            signalled_at=record.signalled_at,
        )

    def apply(self, body: ChangeoverReport, *, equipment: str | None, moment: Moment) -> Disposition:
        """Start or complete a changeover, or say why not; changeovers are the line's, whoever reports them."""
        del equipment
        return self._start_asked(body, moment) if body.action == "start" else self._complete_asked(body, moment)

    def product_changed(
        self, *, from_product: str | None, to_product: str, moment: Moment, setup_since: Millis | None = None
    ) -> None:
        """Take note of a product change: a changeover, unless expected; from None it is only noted.

        None stands for an unknown product, and for a change while the line runs, which signals nothing. `setup_since`:
        when a mode signalled it.
        """
        running = self._state.running
        expected = self._state.product if running is None else running.to_product
        if expected == to_product:
            return  # the machine says late what a report or a changeover said already
        before = from_product if running is None else running.from_product
        self.abandon(moment=moment)
        self._state.product = to_product
        if before is not None and before != to_product:
            self._start(before, to_product, moment, signalled_at=moment.at if setup_since is None else setup_since)

    def count(self, *, good: int, reject: int, moment: Moment) -> None:
        """Take note of pieces made; rejects counted with the completing good piece are start-up rejects too."""
        if good <= 0 and reject <= 0:
            return
        last = self._state.last_piece_at
        self._state.last_piece_at = moment.at if last is None else max(last, moment.at)
        running = self._state.running
        if running is None:
            return
        running.good += max(0, good)
        running.startup_rejects += reject  # below 0 where good pieces come in a report after their total
        if running.good >= self._good_pieces:
            self._end(running, "completed", moment)

    def abandon(self, *, moment: Moment) -> None:
        """End the running changeover, if any, without a piece of the new product: its job was cancelled."""
        if self._state.running is not None:
            self._end(self._state.running, "abandoned", moment)

    def _start_asked(self, body: ChangeoverReport, moment: Moment) -> Disposition:
        if body.to_product is None:
            return rejected("incomplete")
        running = self._state.running
        if running is not None:
            same = running.to_product == body.to_product
            return suppressed("already_running") if same else rejected("changeover_running")
        before = body.from_product or self._state.product
        if before == body.to_product:
            return suppressed("same_product")
        self._start(before, body.to_product, moment, signalled_at=moment.at)
        return APPLIED

    def _complete_asked(self, body: ChangeoverReport, moment: Moment) -> Disposition:
        running = self._state.running
        if running is None:
            return rejected("no_changeover_running")
        if body.to_product not in {None, running.to_product}:
            return rejected("other_changeover_running")
        if moment.at < running.signalled_at:
            return suppressed("older_than_start")
        self._end(running, "completed", moment)
        return APPLIED

    def _start(self, from_product: str | None, to_product: str, moment: Moment, *, signalled_at: Millis) -> None:
        number = self._state.next_number
        self._state.next_number += 1
        run_ended = max(
            (at for at in (self._state.last_piece_at, self._state.ended_at) if at is not None), default=None
        )
        record = ChangeoverRecord(
            changeover_id=f"{self._line}.change.{number}",
            from_product=from_product,
            to_product=to_product,
            started_at=signalled_at if run_ended is None else min(run_ended, signalled_at),
            signalled_at=signalled_at,
        )
        self._state.running = record
        self._emit(EventType.CHANGEOVER_STARTED, record, moment)

    def _end(self, record: ChangeoverRecord, outcome: Literal["completed", "abandoned"], moment: Moment) -> None:
        self._state.running = None
        self._state.ended_at = moment.at
        self._state.product = record.to_product if outcome == "completed" else record.from_product
        self._emit(EventType.CHANGEOVER_COMPLETED, record, moment, outcome=outcome)

    def _emit(
        self,
        event_type: EventType,
        record: ChangeoverRecord,
        moment: Moment,
        *,
        outcome: Literal["completed", "abandoned"] | None = None,
    ) -> None:
        product = self._plant.product(record.to_product)
        ended = outcome is not None
        data = Changeover(
            changeover_id=record.changeover_id,
            to_product=record.to_product,
            started_at=rfc3339(record.started_at),
            signalled_at=rfc3339(record.signalled_at),
            from_product=record.from_product,
            completed_at=rfc3339(moment.at) if ended else None,
            duration_seconds=(moment.at - record.started_at) / 1000 if ended else None,
            target_seconds=None if product is None else product.changeover_seconds,
            startup_rejects=max(0, record.startup_rejects) if ended else None,
            outcome=outcome,
        )
        self._emitter.emit(
            event_type,
            data,
            moment=moment,
            equipment=None,
            subject=record.changeover_id,
            priority=Priority.MEDIUM,
            standing=Standing.CLOSED if ended else Standing.CURRENT,
        )
