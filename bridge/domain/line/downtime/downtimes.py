"""Downtimes of one line: opened, revised, split, closed, classified, confirmed. Source: domain.md, «Downtime».

`stop_tracker` decides when a stop is a downtime, `split` where it is split.
"""

from collections.abc import Callable

from bridge.domain.emitter import Emitter
from bridge.domain.events import Priority
from bridge.domain.line.andon.call_matching import CallRequest
from bridge.domain.line.downtime.call_rule import AutoCallRule
from bridge.domain.line.downtime.findings import DowntimeFindings
from bridge.domain.line.downtime.record import DowntimeRecord, PlannedTimeChange, categorize, is_breakdown, reason_of
from bridge.domain.line.downtime.registry import DowntimeRegistry, DowntimesState
from bridge.domain.line.downtime.split import SplitState
from bridge.domain.line.downtime.stop_analysis import StopAnalysis
from bridge.domain.line.downtime.stop_tracker import Signal, StopChange, StopChangeKind
from bridge.domain.line.equipment.status import Diagnosis
from bridge.domain.plant import LineConfig, Plant
from bridge.domain.reports import APPLIED, Disposition, DowntimeReport, Moment, rejected, suppressed
from bridge.domain.utc_time import Millis


class Downtimes:
    """At most one open downtime, driven by the line's diagnoses and stop changes."""

    def __init__(self, state: DowntimesState, *, plant_config: Plant, spec: LineConfig, emitter: Emitter) -> None:
        self._state = state
        self._plant_config = plant_config
        self._rules = plant_config.rules_of(spec)
        self._micro_ms = round(self._rules.micro_stop_seconds * 1000)
        self._call_rule = AutoCallRule(plant_config, round(self._rules.auto_call_unclassified_seconds * 1000))
        self._registry = DowntimeRegistry(state, plant_config=plant_config, line_id=spec.id, emitter=emitter)

    def observe(self, signal: Signal, diagnosis: Diagnosis, *, changeover: bool, moment: Moment) -> None:
        """Collect findings while the line is stopped; revise or split the open downtime if they change it."""
        state = self._state
        if signal is Signal.STOP and diagnosis.status != "offline":
            self._observe_stop(diagnosis, changeover=changeover, at=moment.at, moment=moment)
        elif state.open is None:
            if signal not in (Signal.RUN, Signal.STOP):
                state.pending, state.split = None, SplitState()
        elif signal is Signal.RUN:
            self._drop_split()
        elif changeover:  # the machines are offline, but a changeover is running
            state.split.changing = True
            if state.split.is_changeover_start:
                self._begin_changeover(still_broken=True, changeover=True, at=moment.at, moment=moment)
        if state.open is not None:
            self._revise(moment)

    def apply_stop_change(self, change: StopChange, *, changeover: bool, moment: Moment) -> None:
        """Open or close a downtime, or record a minor stop, according to the change."""
        match change.kind:
            case StopChangeKind.CROSSED:
                self._open(change, changeover=changeover, moment=moment)
            case StopChangeKind.ENDED:
                self._close(change.start, moment)
            case StopChangeKind.MINOR:
                self._add_minor_stop(change, moment)

    def apply(self, body: DowntimeReport, *, moment: Moment) -> Disposition:
        """Classify, confirm or unconfirm a downtime, by command or report."""
        record = self._registry.find(body.downtime_id)
        if record is None:
            return rejected("unknown_downtime")
        if body.action == "classify":
            return self._classify(record, body, moment)
        if body.action == "unconfirm":
            return self._unconfirm(record, body, moment)
        if record.status == "open":
            return rejected("downtime_open")
        if record.status == "confirmed":
            return suppressed("already_confirmed")
        record.status = "confirmed"
        record.confirmed_by = moment.person
        record.notes = body.notes or record.notes
        self._registry.amend(record, moment)
        return APPLIED

    def take_planned_time_change(self, downtime_id: str) -> PlannedTimeChange | None:
        """Return, once per change, the time of a downtime that a named user confirms as planned, or no longer does."""
        record = self._state.closed.get(downtime_id)
        if record is None or record.ended_at is None:
            return None
        named = record.confirmed_by is not None and not record.confirmed_by.claimed
        excluded = named and categorize(record, reason_of(record, self._plant_config)) == "planned"
        if excluded == record.excluded:
            return None
        record.excluded = excluded
        return PlannedTimeChange(record.started_at, record.ended_at, excluded)

    def next_deadline(self) -> Millis | None:
        record, split = self._state.open, self._state.split
        if record is None:
            return None
        split_at = None if split.since is None else split.since + self._micro_ms
        return min((at for at in (self._call_rule.next_deadline(record), split_at) if at is not None), default=None)

    def set_forward(self, by: Millis) -> None:
        """Delay pending deadlines by a forward step of the host's clock."""
        for part in (self._state.split, self._state.pending, self._state.open):
            if part is not None:
                part.set_forward(by)

    def fire(self, moment: Moment, call: Callable[[CallRequest], bool]) -> None:
        """Split the downtime if a pending switch has lasted the threshold; raise the call that is due."""
        record, split = self._state.open, self._state.split
        if record is None:
            return
        if split.since is not None and split.since + self._micro_ms <= moment.at:
            record = self._complete_split(record, split, moment)
        self._call_rule.fire(record, call, now=moment.at)

    def is_call_wanted(self, downtime_id: str) -> bool:
        """Return whether a call that became due for a downtime of this stop is still needed."""
        record = self._state.open
        if record is None:
            return False
        return record.downtime_id != downtime_id or self._call_rule.wait_ms(record) is not None

    # During a stop

    def _observe_stop(self, diagnosis: Diagnosis, *, changeover: bool, at: Millis, moment: Moment) -> None:
        """Process a diagnosis of the stop that holds from `at` and became known at `moment`."""
        state = self._state
        if state.open is None and state.pending is None:
            begun = StopAnalysis.begin(diagnosis, changeover=changeover, call_rule=self._call_rule)
            state.pending, state.split = begun.findings, begun.split
        analysis, record = self._analysis, state.open
        begins_changeover = analysis.update_split(diagnosis, changeover=changeover)
        if record is not None and state.split.carried_machine is None:
            record.interrupted_call = None
        if begins_changeover:
            still_broken = analysis.is_still_broken(diagnosis)
            self._begin_changeover(still_broken=still_broken, changeover=changeover, at=at, moment=moment)
        # A changeover may have split the downtime, so its findings are new.
        self._analysis.add_diagnosis(diagnosis, record=state.open, changeover=changeover, at=at)

    @property
    def _analysis(self) -> StopAnalysis:
        """The analysis of the current stop."""
        findings = self._state.pending if self._state.open is None else self._state.open.findings
        assert findings is not None, "a stop has findings from its first instant on"
        return StopAnalysis(findings, self._state.split, self._call_rule)

    def _drop_split(self) -> None:
        """Discard a pending switch, if any."""
        if self._state.split.since is not None:
            self._analysis.drop_split()

    def _begin_changeover(self, *, still_broken: bool, changeover: bool, at: Millis, moment: Moment) -> None:
        """Make the stop a changeover: all of it if no breakdown is known, else from `at` on."""
        record = self._state.open
        self._analysis.begin_changeover(still_broken=still_broken)
        if record is None:
            return
        interrupted_call = None
        if self._state.split.carried_machine is not None and record.call_at is not None:
            interrupted_call = self._call_rule.scheduled_call(record, due=record.call_at)
        if is_breakdown(record, reason_of(record, self._plant_config)) and record.started_at < at:
            record = self._split(
                record, at=at, findings=DowntimeFindings(setup=not changeover), changeover=changeover, moment=moment
            )
        record.changeover = record.changeover or changeover
        record.findings.changing = changeover
        record.interrupted_call = interrupted_call

    def _complete_split(
        self, record: DowntimeRecord, split: SplitState, moment: Moment, *, unwatched: bool = False
    ) -> DowntimeRecord:
        since, findings = split.complete()
        changeover = split.changeover and split.changing
        if record.started_at < since:
            record = self._split(record, at=since, findings=findings, changeover=changeover, moment=moment)
            record.unwatched = unwatched
        else:
            record.findings, record.changeover, record.interrupted_call = findings, changeover, None
        self._revise(moment)
        return record

    def _split(
        self, record: DowntimeRecord, *, at: Millis, findings: DowntimeFindings, changeover: bool, moment: Moment
    ) -> DowntimeRecord:
        self._registry.end(record, at, moment)
        downtime_id = self._registry.next_id()
        after = DowntimeRecord(downtime_id=downtime_id, started_at=at, findings=findings, changeover=changeover)
        self._registry.begin(after)
        return after

    def _open(self, crossed: StopChange, *, changeover: bool, moment: Moment, unwatched: bool = False) -> None:
        state = self._state
        findings, split = state.pending or DowntimeFindings(), state.split
        findings.changing = changeover
        counted_since = crossed.start + crossed.skipped
        if findings.since is None and counted_since > crossed.start:
            findings.since = counted_since
        record = DowntimeRecord(
            downtime_id=self._registry.next_id(),
            started_at=crossed.start,
            findings=findings,
            changeover=changeover and split.changeover,
            unwatched=unwatched,
        )
        if split.carried_machine is not None:
            due = self._call_rule.breakdown_due_at(record, now=moment.at)
            record.interrupted_call = None if due is None else self._call_rule.scheduled_call(record, due=due)
        state.pending = None
        self._registry.begin(record)
        self._revise(moment)

    def _close(self, ended_at: Millis, moment: Moment, *, estimated: bool = False) -> None:
        record = self._state.open
        if record is None:
            return
        self._drop_split()
        self._state.open = self._state.last_emitted = None
        self._state.split = SplitState()
        self._registry.end(record, ended_at, moment, estimated=estimated)

    def _add_minor_stop(self, change: StopChange, moment: Moment, *, estimated: bool = False) -> None:
        findings, self._state.pending, self._state.split = self._state.pending, None, SplitState()
        if not self._rules.report_minor_stops:
            return
        record = DowntimeRecord(
            downtime_id=self._registry.next_id(),
            started_at=change.start,
            findings=findings or DowntimeFindings(),
            status="closed",
            ended_at=change.end,
            micro_stop=True,
            priority=Priority.MEDIUM,
        )
        self._registry.close(record, moment, estimated=estimated)

    def _classify(self, record: DowntimeRecord, body: DowntimeReport, moment: Moment) -> Disposition:
        if record.status == "confirmed":
            return rejected("already_confirmed")
        if body.reason_code is None:
            return rejected("incomplete")
        if self._plant_config.find_reason(body.reason_code) is None:
            return rejected("unknown_reason")
        if record.classified == body.reason_code and body.notes in (None, record.notes):
            return suppressed("already_classified")
        record.classified = body.reason_code
        record.notes = body.notes or record.notes
        if record.status == "open":
            self._revise(moment)
        else:
            self._registry.amend(record, moment)
        return APPLIED

    def _unconfirm(self, record: DowntimeRecord, body: DowntimeReport, moment: Moment) -> Disposition:
        """Withdraw a confirmation; only a named user may withdraw that of a named user."""
        if record.status != "confirmed":
            return suppressed("not_confirmed")
        named = moment.person is not None and not moment.person.claimed
        if record.confirmed_by is not None and not record.confirmed_by.claimed and not named:
            return rejected("not_allowed")
        record.status, record.confirmed_by = "closed", None
        record.notes = body.notes or record.notes
        self._registry.amend(record, moment)
        return APPLIED

    def _revise(self, moment: Moment) -> None:
        record = self._state.open
        assert record is not None, "only an open downtime is revised"
        record.call_at = None if record.called else self._call_rule.due_at(record, now=moment.at)
        record.deferred = False  # what it waited for may have ended
        self._registry.revise(record, moment)
