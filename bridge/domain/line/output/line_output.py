"""Output of a line and its machines: pieces and OEE, and the choice of the line's counters.

Source: domain.md, «Counters» and «OEE».
"""

from collections.abc import Container, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain import plant
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Status
from bridge.domain.line.absence.record import StateBeforeLoss
from bridge.domain.line.changeover import HiddenPieces
from bridge.domain.line.counters.machine_counters import CountedPieces, CounterName
from bridge.domain.line.downtime.record import PlannedTimeChange
from bridge.domain.line.downtime.stop_tracker import Signal, StopChange, StopTracker
from bridge.domain.line.downtime.timeline import Observation, Segment, Timeline, build_timeline
from bridge.domain.line.jobs import JobRecord
from bridge.domain.line.line_state import OutputState
from bridge.domain.line.output.oee import OeeTracker
from bridge.domain.line.output.oee_state import OeeState, TimeStretch
from bridge.domain.line.output.piece_counter import PieceCounter, ProductionState
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import Moment
from bridge.domain.shifts import ShiftPlan, ShiftWindow
from bridge.domain.utc_time import Millis


class Pieces(Struct, frozen=True, kw_only=True):
    """Pieces that one report adds, each number counted or inferred; `assumed`: good for lack of other counters."""

    total: int
    good: int
    reject: int
    assumed: bool
    hidden: HiddenPieces | None = None


def signal_of(status: Status, *, scheduled: bool, known_stopped: bool) -> Signal:
    """Return what a status means for time; `known_stopped`: it was when it went offline."""
    if status == "running":
        return Signal.RUN
    if not scheduled:
        return Signal.OFF
    return Signal.LOST if status == "offline" and not known_stopped else Signal.STOP


def infer_pieces(deltas: Mapping[CounterName, int], *, counters: Container[str], times: int = 1) -> Pieces:
    """Infer the missing numbers; `counters`: the names of the counters known to exist."""
    total, good, reject = deltas.get("total", 0) * times, deltas.get("good", 0) * times, deltas.get("reject", 0) * times
    if "total" not in counters:
        return Pieces(total=good + reject, good=good, reject=reject, assumed=False)
    if "good" in counters:
        return Pieces(total=total, good=good, reject=reject if "reject" in counters else total - good, assumed=False)
    if "reject" in counters:
        return Pieces(total=total, good=total - reject, reject=reject, assumed=False)
    return Pieces(total=total, good=total, reject=0, assumed=True)


class Output:
    """Piece counts of the line (scope `_`) and each equipment; OEE of the line and machines with an ideal cycle."""

    def __init__(
        self,
        state: OutputState,
        *,
        plant_config: plant.Plant,
        spec: plant.LineConfig,
        plan: ShiftPlan,
        emitter: Emitter,
    ) -> None:
        self._state = state
        self._plant = plant_config
        self._spec = spec
        self._rules = plant_config.rules_of(spec)
        self._plan = plan
        self._emitter = emitter
        sources = counter_sources(spec)
        self._line_counters = {
            config.id: [name for name in sources if config.id in sources[name]] for config in spec.equipment
        }
        self._oee = {scope: self._create_tracker(scope) for scope in (LINE_LEVEL, *tracked_machines(spec))}
        counting = [config.id for config in spec.equipment]
        self._counts = {scope: self._create_counter(scope) for scope in (LINE_LEVEL, *counting)}

    def start(self, shift: ShiftWindow, *, at: Millis) -> None:
        """Begin tracking every scope that is not tracked yet."""
        for scope, tracker in self._oee.items():
            if not tracker.state.windows:
                equipment = self._spec.find_equipment(scope)
                tracker.state.ideal_cycle = None if equipment is None else equipment.ideal_cycle_seconds
                tracker.start(shift, at=at)
                if scope == LINE_LEVEL:
                    self._counts[scope].start(at)

    def set_ideal_cycle(self, product_id: str | None) -> None:
        """Set the line's ideal cycle from now on: that of its product, else its own."""
        product = self._plant.find_product(product_id)
        ideal_cycle = (None if product is None else product.ideal_cycle_seconds) or self._spec.ideal_cycle_seconds
        self._oee[LINE_LEVEL].state.ideal_cycle = ideal_cycle

    def count(self, equipment: str, counted: CountedPieces, *, moment: Moment) -> Pieces | None:
        """Add a machine's pieces to its own counts; return those that count for the line, or None."""
        own_pieces = infer_pieces(counted.deltas, counters=counted.known_counters)
        self._add(equipment, own_pieces, counted, moment)
        self._counts[equipment].set_doubtful(equipment, counted.doubtful_pieces(counted.doubtful), at=moment.at)
        line_counters = self._line_counters[equipment]
        doubtful = counted.doubtful_pieces(line_counters, times=self._spec.pieces_per_count)
        self._counts[LINE_LEVEL].set_doubtful(equipment, doubtful, at=moment.at)
        line_deltas = {name: delta for name, delta in counted.deltas.items() if name in line_counters}
        counters_seen = self._state.counters_seen
        known_counters = tuple(counters_seen)
        pieces = infer_pieces(line_deltas, counters=known_counters, times=self._spec.pieces_per_count)
        if counted.new_counters:
            counters_seen += [
                name for name in sorted(counted.new_counters) if name not in counters_seen and name in line_counters
            ]
        if not line_deltas:
            return None
        self._add(LINE_LEVEL, pieces, counted, moment)
        if counted.hidden_until is None:
            return pieces
        hidden_pieces = infer_pieces(
            {name: counted.hidden[name] for name in line_deltas},
            counters=known_counters,
            times=self._spec.pieces_per_count,
        )
        return replace(pieces, hidden=HiddenPieces(counted.hidden_until, hidden_pieces.good, hidden_pieces.reject))

    def feed(self, scope: str, signal: Signal, *, moment: Moment) -> StopChange | None:
        tracker = self._oee.get(scope)
        return None if tracker is None else tracker.feed(signal, moment=moment)

    def is_stopped(self, scope: str) -> bool:
        """Return whether a scope counts as stopped, in scheduled time."""
        tracker = self._oee.get(scope)
        return tracker is not None and tracker.state.stops.signal is Signal.STOP

    def end_scheduled_time(self, *, moment: Moment) -> StopChange | None:
        """End every stop at the end of scheduled time; return the change of the line's stop."""
        changes = {scope: tracker.feed(Signal.OFF, moment=moment) for scope, tracker in self._oee.items()}
        return changes[LINE_LEVEL]

    def set_job(self, job: JobRecord | None, ended: JobRecord | None, *, shift: ShiftWindow, moment: Moment) -> None:
        """Set the running job; emit the last counts of the one that has just ended."""
        if ended is not None:
            self._counts[LINE_LEVEL].emit(moment, window=shift, job=ended)
        self._counts[LINE_LEVEL].set_job(job, at=moment.at)
        for tracker in self._oee.values():
            tracker.set_job(None if job is None else job.job_id, moment=moment)

    def apply_planned_time_change(self, change: PlannedTimeChange, *, moment: Moment) -> None:
        """Take a downtime out of the planned busy time of the line and its machines, or put it back."""
        for tracker in self._oee.values():
            move_time = tracker.exclude if change.excluded else tracker.include
            move_time(change.start, change.end, moment=moment)

    def change_shift(self, before: ShiftWindow, after: ShiftWindow, job: JobRecord | None, *, moment: Moment) -> None:
        for scope, counts in self._counts.items():
            counts.change_shift(moment, window=before, job=job if scope == LINE_LEVEL else None)
        for tracker in self._oee.values():
            tracker.change_shift(after, moment=moment)

    def mark_unobserved(self, at: Millis) -> dict[str, StateBeforeLoss]:
        """Suspend every scope, as the bridge is absent from `at` on; return their states before that."""
        for tracker in self._oee.values():
            tracker.suspend(at)
        return {scope: _state_before_loss(tracker) for scope, tracker in self._oee.items()}

    def mark_lost(self, scope: str, at: Millis) -> StateBeforeLoss | None:
        """Suspend a scope whose machines are offline from `at` on; return its state before, None if untracked."""
        tracker = self._oee.get(scope)
        if tracker is None:
            return None
        tracker.suspend(at, observed=True)
        return _state_before_loss(tracker, since=at)

    def build_timeline(
        self, scope: str, before: StateBeforeLoss, signals: Sequence[Observation], start: Millis, until: Millis
    ) -> Timeline:
        """Replay a stretch of a scope with signals that were unknown at the time."""
        tracker = self._oee[scope]
        stops = StopTracker(before.stops, tracker.stops.micro_ms, tracker.stops.restart_ms)
        segments = [Segment(stretch.start, stretch.end, stretch.time_class) for stretch in before.recent]
        return build_timeline(stops, segments, signals, start=start, until=until)

    def set_forward(self, by: Millis, *, at: Millis) -> None:
        """Mark as unknown the time that a forward jump of the host's clock skipped at `at`."""
        for tracker in self._oee.values():
            tracker.set_forward(by, at=at)

    def rebuild(
        self, scope: str, timeline: Timeline, before: StateBeforeLoss, *, continues: bool, moment: Moment
    ) -> Sequence[TimeStretch]:
        """Fill in a scope's unknown time; return what moved. `continues`: tracking resumes at the timeline's end."""
        return self._oee[scope].rebuild(timeline, before.recent, continues=continues, moment=moment)

    def next_deadline(self) -> Millis:
        deadlines = [tracker.next_deadline() for tracker in self._oee.values()]
        deadlines += [at for tracker in self._oee.values() if (at := tracker.stops.next_deadline()) is not None]
        deadlines += [at for counts in self._counts.values() if (at := counts.state.due) is not None]
        return min(deadlines)

    def fire_stops(self, moment: Moment) -> StopChange | None:
        """Judge every stop whose deadline is due; return the change of the line's stop."""
        changes = {scope: tracker.fire_stop(moment) for scope, tracker in self._oee.items()}
        return changes[LINE_LEVEL]

    def fire(self, moment: Moment, *, shift: ShiftWindow, job: JobRecord | None) -> None:
        for scope, counts in self._counts.items():
            counts.fire(moment, window=shift, job=job if scope == LINE_LEVEL else None)
        for tracker in self._oee.values():
            tracker.fire(moment)

    def _add(self, scope: str, pieces: Pieces, counted: CountedPieces, moment: Moment) -> None:
        if not (pieces.total or pieces.good or pieces.reject or counted.estimated):
            return
        tracker = self._oee.get(scope)
        shares = (tracker or self._oee[LINE_LEVEL]).split_pieces(
            pieces.total, pieces.good, made=(counted.since, counted.until)
        )
        estimated = counted.estimated or any(share.unknown for share in shares)
        self._counts[scope].count(
            pieces.total, pieces.good, pieces.reject, estimated=estimated, shares=shares, at=moment.at
        )
        if tracker is not None:
            tracker.add_pieces(
                pieces.total,
                pieces.good,
                assumed=pieces.assumed,
                estimated=estimated,
                shares=shares,
                moment=moment,
            )

    def _create_counter(self, scope: str) -> PieceCounter:
        is_line = scope == LINE_LEVEL
        return PieceCounter(
            self._state.counts.setdefault(scope, ProductionState()),
            equipment=None if is_line else scope,
            target_rate=self._spec.target_rate_per_minute if is_line else None,
            period_ms=round(self._rules.production_period_seconds * 1000),
            plan=self._plan,
            emitter=self._emitter,
        )

    def _create_tracker(self, scope: str) -> OeeTracker:
        return OeeTracker(
            self._state.oee.setdefault(scope, OeeState()),
            equipment=None if scope == LINE_LEVEL else scope,
            stops=(round(self._rules.micro_stop_seconds * 1000), round(self._rules.restart_seconds * 1000)),
            period_ms=round(self._rules.oee_period_seconds * 1000),
            step=self._rules.oee_step,
            plan=self._plan,
            emitter=self._emitter,
        )


def tracked_machines(spec: plant.LineConfig) -> list[str]:
    """Return the machines with an OEE of their own."""
    return [config.id for config in spec.equipment if config.ideal_cycle_seconds is not None and config.kind == "plc"]


def counter_sources(spec: plant.LineConfig) -> dict[CounterName, tuple[str, ...]]:
    """Return the equipment whose counters are the line's; the last machine if the plant file names none."""
    if spec.total_from or spec.good_from or spec.reject_from:
        return {"total": spec.total_from, "good": spec.good_from, "reject": spec.reject_from}
    last = tuple(config.id for config in spec.equipment if config.kind == "plc")[-1:]
    return {"total": last, "good": last, "reject": last}


def _state_before_loss(tracker: OeeTracker, *, since: Millis | None = None) -> StateBeforeLoss:
    """Return a copy of a scope's stop tracking state; `since`: when the scope was lost."""
    return StateBeforeLoss(replace(tracker.state.stops), [replace(stretch) for stretch in tracker.state.recent], since)
