"""The downtimes of one line: opened, revised, closed, classified, confirmed. Source: DOMAIN, «Downtime».

When a stop is a downtime is decided in `stops`; here is what is told of it, and when it calls for help.
"""

from dataclasses import dataclass

from msgspec import Struct, field

from bridge.core import plant
from bridge.core.emitter import Emitter
from bridge.core.event_data import AndonType, CallPriority, Downtime
from bridge.core.events import EventType, Millis, Priority, Standing
from bridge.core.line.downtime_record import DowntimeRecord, Findings, category_of, downtime_data, reason_of
from bridge.core.line.status import Diagnosis
from bridge.core.line.stops import Change, Signal, StopChange
from bridge.core.reports import APPLIED, Disposition, DowntimeReport, Moment, rejected, suppressed

CLOSED_DOWNTIMES = 100  # the latest that may still be classified and confirmed; bounds the checkpoint


class DowntimesState(Struct):
    next_number: int = 1
    pending: Findings | None = None  # of a stop that is no downtime yet
    open: DowntimeRecord | None = None
    told: Downtime | None = None  # of the open one: a change of it is a revision
    closed: dict[str, DowntimeRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForHelp:
    """An automatic Andon call that is due."""

    equipment: str | None
    andon_type: AndonType
    priority: CallPriority
    description: str
    downtime_id: str


class Downtimes:
    """One open downtime at most. The line feeds it diagnoses and what its stops turned out to be."""

    def __init__(self, state: DowntimesState, *, reasons: plant.Plant, spec: plant.Line, emitter: Emitter) -> None:
        self._state = state
        self._reasons = reasons
        self._rules = reasons.rules_of(spec)
        self._line = spec.id
        self._emitter = emitter

    def observe(self, signal: Signal, seen: Diagnosis, *, changeover: bool, moment: Moment) -> None:
        """Gather findings while the line stands; revise the open downtime where they change it."""
        state = self._state
        if state.open is not None:
            if signal is Signal.STOP:
                state.open.found.gather(seen)
            self._mark_changeover(state.open, changeover=changeover)
            self._revise(moment)
        elif signal is Signal.STOP:
            state.pending = state.pending or Findings()
            state.pending.gather(seen)
        elif signal is not Signal.RUN:
            state.pending = None

    def learn(self, change: StopChange, *, changeover: bool, moment: Moment) -> None:
        """Open, close, or tell a minor stop, as the stop turned out."""
        match change.change:
            case Change.CROSSED:
                self._open(change.start, changeover=changeover, moment=moment)
            case Change.ENDED:
                self._close(change.start, moment)
            case Change.MINOR:
                self._minor(change, moment)

    def apply(self, body: DowntimeReport, *, moment: Moment) -> Disposition:
        """Classify or confirm, by command or report."""
        record = self._find(body.downtime_id)
        if record is None:
            return rejected("unknown_downtime")
        if body.action == "classify":
            return self._classify(record, body, moment)
        if record.status == "open":
            return rejected("downtime_open")
        if record.status == "confirmed":
            return suppressed("already_confirmed")
        record.status = "confirmed"
        record.confirmed_by = moment.person
        record.notes = body.notes or record.notes
        self._emit(record, moment, standing=Standing.HISTORY)
        return APPLIED

    def to_exclude(self, downtime_id: str) -> tuple[Millis, Millis] | None:
        """Return, once, the time of a downtime that a named user has confirmed as planned."""
        record = self._state.closed.get(downtime_id)
        if record is None or record.excluded or record.ended_at is None or record.confirmed_by is None:
            return None
        if record.confirmed_by.claimed or category_of(record, reason_of(record, self._reasons)) != "planned":
            return None
        record.excluded = True
        return record.started_at, record.ended_at

    def next_deadline(self) -> Millis | None:
        return None if self._state.open is None else self._state.open.call_at

    def fire(self, moment: Moment) -> CallForHelp | None:
        """Return the call that is due now."""
        record = self._state.open
        if record is None or record.call_at != moment.at:
            return None
        record.call_at, record.called = None, True
        reason = reason_of(record, self._reasons)
        andon_type: AndonType = "equipment" if reason is None else reason.andon_type
        minutes = (moment.at - record.started_at) // 60_000
        return CallForHelp(
            equipment=record.found.cause_equipment or record.found.equipment,
            andon_type=andon_type,
            priority=self._reasons.call_priority[andon_type] if reason is None else reason.priority,
            description=f"{'Unclassified stop' if reason is None else reason.text}, {minutes} min",
            downtime_id=record.downtime_id,
        )

    def _open(self, started_at: Millis, *, changeover: bool, moment: Moment) -> None:
        state = self._state
        record = DowntimeRecord(
            downtime_id=self._next_id(),
            started_at=started_at,
            found=state.pending or Findings(),
            changeover=changeover,
        )
        category = category_of(record, reason_of(record, self._reasons))
        record.priority = Priority.HIGH if category == "unplanned" else Priority.MEDIUM
        state.open, state.pending, state.told = record, None, None
        self._revise(moment)

    def _close(self, ended_at: Millis, moment: Moment) -> None:
        record = self._state.open
        if record is None:
            return
        self._state.open = self._state.told = None
        record.status, record.ended_at, record.call_at = "closed", ended_at, None
        self._keep(record)
        self._emit(record, moment, standing=Standing.CLOSED)

    def _minor(self, change: StopChange, moment: Moment) -> None:
        found, self._state.pending = self._state.pending, None
        if not self._rules.report_minor_stops:
            return
        record = DowntimeRecord(
            downtime_id=self._next_id(),
            started_at=change.start,
            found=found or Findings(),
            status="closed",
            ended_at=change.end,
            micro_stop=True,
            priority=Priority.MEDIUM,
        )
        self._keep(record)
        self._emit(record, moment, standing=Standing.CLOSED)

    def _classify(self, record: DowntimeRecord, body: DowntimeReport, moment: Moment) -> Disposition:
        if record.status == "confirmed":
            return rejected("already_confirmed")
        if body.reason_code is None:
            return rejected("incomplete")
        if self._reasons.reason(body.reason_code) is None:
            return rejected("unknown_reason")
        if record.classified == body.reason_code and body.notes in (None, record.notes):
            return suppressed("already_classified")
        record.classified = body.reason_code
        record.notes = body.notes or record.notes
        if record.status == "open":
            self._revise(moment)
        else:
            self._emit(record, moment, standing=Standing.HISTORY)
        return APPLIED

    def _mark_changeover(self, record: DowntimeRecord, *, changeover: bool) -> None:
        record.changeover = record.changeover or changeover

    def _revise(self, moment: Moment) -> None:
        record = self._state.open
        assert record is not None, "only an open downtime is revised"
        data = downtime_data(record, self._reasons)
        if data == self._state.told:
            return
        record.call_at = None if record.called else self._call_at(record, moment.at)
        self._state.told = data
        self._emit(record, moment, standing=Standing.CURRENT)

    def _call_at(self, record: DowntimeRecord, now: Millis) -> Millis | None:
        reason = reason_of(record, self._reasons)
        if category_of(record, reason) != "unplanned":
            return None
        if reason is not None:
            wait = None if reason.call_after_minutes is None else reason.call_after_minutes * 60
        elif record.found.told_cause in ("upstream", "downstream") and record.found.cause_equipment is None:
            wait = None  # starved or blocked from outside the line: nobody here can help
        else:
            wait = self._rules.auto_call_unclassified_seconds
        return None if wait is None else max(record.started_at + round(wait * 1000), now)

    def _find(self, downtime_id: str) -> DowntimeRecord | None:
        opened = self._state.open
        if opened is not None and opened.downtime_id == downtime_id:
            return opened
        return self._state.closed.get(downtime_id)

    def _keep(self, record: DowntimeRecord) -> None:
        closed = self._state.closed
        closed[record.downtime_id] = record
        while len(closed) > CLOSED_DOWNTIMES:
            del closed[next(iter(closed))]

    def _next_id(self) -> str:
        number = self._state.next_number
        self._state.next_number += 1
        return f"{self._line}.down.{number}"

    def _emit(self, record: DowntimeRecord, moment: Moment, *, standing: Standing) -> None:
        self._emitter.emit(
            EventType.DOWNTIME_EVENT,
            downtime_data(record, self._reasons),
            moment=moment,
            equipment=None,
            subject=record.downtime_id,
            priority=record.priority,
            standing=standing,
        )
