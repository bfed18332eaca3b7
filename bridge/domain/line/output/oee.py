"""OEE of a line or a machine over its three windows: the shift, the clock hour and the running job.

Time accumulates as it passes, by what is known then. Later findings (a stop that turned out to be a downtime, a restart
that held, a stop that a user confirmed as planned) move time between classes, also in a window that has closed
meanwhile; that window is emitted again as history. Source: domain.md, «OEE».
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from bridge.domain.bounded_dict import drop_oldest
from bridge.domain.emitter import Emitter
from bridge.domain.line.downtime.stop_tracker import Signal, StopChange, StopChangeKind, StopTracker
from bridge.domain.line.downtime.timeline import Timeline, time_class_of
from bridge.domain.line.output.oee_emitter import OeeEmitter
from bridge.domain.line.output.oee_rebuild import (
    fill_unknown_time,
    reclassify_downtime,
    replace_provisional,
    stretches_since,
)
from bridge.domain.line.output.oee_state import MAX_RECENT_STRETCHES, OeeState, TimeStretch, UnattributedPieces
from bridge.domain.line.output.oee_window import OeeWindow, TimeClass, WindowKind
from bridge.domain.line.output.piece_shares import PieceShare, distribute_pieces
from bridge.domain.reports import Moment
from bridge.domain.shifts import ShiftPlan, ShiftWindow
from bridge.domain.utc_time import Millis

CLOSED_WINDOWS_KEPT: Final[dict[WindowKind, int]] = {"shift": 4, "hour": 26}  # for amendments: a day and a bit of each
MAX_PAST_JOBS = 8  # paused or ended jobs whose window may resume or be amended; bounds the checkpoint


class OeeTracker:
    """Accumulates one scope and emits its oee_update events; `equipment` is None for the line."""

    def __init__(
        self,
        state: OeeState,
        *,
        equipment: str | None,
        stops: tuple[int, int],
        period_ms: int,
        step: float,
        plan: ShiftPlan,
        emitter: Emitter,
    ) -> None:
        self.state = state
        self.stops = StopTracker(state.stops, *stops)
        self._events = OeeEmitter(state, equipment=equipment, step=step, emitter=emitter)
        self._period_ms = period_ms
        self._plan = plan

    def start(self, shift: ShiftWindow, *, at: Millis) -> None:
        """Begin tracking; the time of the windows before `at` is unknown."""
        state = self.state
        state.at = state.checked_at = at
        state.shift_id = shift.shift_id
        start, end = self._plan.hour_at(at)
        state.windows["shift"] = OeeWindow(
            kind="shift", start=shift.start, end=shift.end, shift_id=shift.shift_id, unknown_ms=at - shift.start
        )
        state.windows["hour"] = OeeWindow(
            kind="hour", start=start, end=end, shift_id=shift.shift_id, unknown_ms=at - start
        )

    def feed(self, signal: Signal, *, moment: Moment) -> StopChange | None:
        """Apply the signal that holds from now on; return the resulting change of the scope's stop."""
        self._advance(moment.at)
        change = self.stops.feed(signal, at=moment.at)
        return self._apply_stop_change(change, moment)

    def split_pieces(self, total: int, good: int, *, made: tuple[Millis, Millis]) -> list[PieceShare]:
        """Distribute pieces over the interval in which they were made; no shares if all of that time is known."""
        since, until = min(made[0], made[1] - 1), made[1]
        self._advance(until)
        unknown = [stretch for stretch in self.state.unknown if stretch.start < until and stretch.end > since]
        if not unknown or total < 0 or good < 0:
            return []
        return distribute_pieces(total, good, start=since, end=until, unknown=unknown, bounds=self._bounds())

    def add_pieces(
        self, total: int, good: int, *, assumed: bool, estimated: bool, shares: Sequence[PieceShare], moment: Moment
    ) -> None:
        """Add pieces to the current windows, or each share to its own; keep shares of unknown time apart."""
        self._advance(moment.at)
        if not shares:
            for window in self.state.windows.values():
                window.add_pieces(total, good, ideal_cycle=self.state.ideal_cycle, assumed=assumed)
                window.estimated = window.estimated or estimated
            return
        bounds = self._bounds()
        for share in shares:
            for window in self.state.windows_containing(share.start, share.end):
                window.estimated = True
                if share.unknown:
                    window.unknown_total += share.total
                    window.unknown_good += share.good
                else:
                    window.add_pieces(share.total, share.good, ideal_cycle=self.state.ideal_cycle, assumed=assumed)
            if share.unknown:
                pieces = UnattributedPieces(
                    share.start, share.end, share.total, share.good, self.state.ideal_cycle, assumed
                )
                self.state.add_unattributed(pieces, bounds=bounds)
        self._events.emit_past(moment, since=shares[0].start, until=shares[-1].end)

    def _bounds(self) -> frozenset[Millis]:
        return frozenset(at for window in self.state.all_windows for at in window.bounds)

    def suspend(self, at: Millis, *, observed: bool = False) -> None:
        """Suspend tracking for an absence of the bridge; `observed`: of the deciding machines instead."""
        self._advance(at)
        if not self.state.device_offline:
            self.state.provisional = [replace(stretch) for stretch in self.state.recent]
        self.state.device_offline = True
        self.state.unobserved = self.state.unobserved or not observed

    def set_forward(self, by: Millis, *, at: Millis) -> None:
        """Mark time skipped by a forward clock jump as unknown; a stop or restart stays as long as it was."""
        self._advance(at)
        self.state.unknown_until = max(self.state.unknown_until, at + by)
        self.state.stops.set_forward(by)

    def rebuild(
        self, timeline: Timeline, before: Sequence[TimeStretch], *, continues: bool, moment: Moment
    ) -> Sequence[TimeStretch]:
        """Fill in unknown time; return what moved. `continues`: tracking resumes at the timeline's end."""
        self._advance(moment.at)
        state, segments = self.state, timeline.segments
        filled = fill_unknown_time(state, segments)
        corrected = (
            replace_provisional(state, before, segments) if continues else reclassify_downtime(state, before, segments)
        )
        moved = sorted([*corrected, *filled], key=lambda stretch: stretch.start)
        if continues:
            state.unobserved = state.device_offline = False
            after = timeline.stops.state
            state.stops.phase, state.stops.signal = after.phase, after.signal
            state.stops.mark, state.stops.skipped = after.mark, after.skipped
            state.recent = stretches_since(moved, after.mark)[-MAX_RECENT_STRETCHES:]
        if moved:
            self._events.emit_amended(
                moment, since=min(stretch.start for stretch in moved), until=max(stretch.end for stretch in moved)
            )
        return moved

    def set_job(self, job_id: str | None, *, moment: Moment) -> None:
        """Close the job's window when its job ends or pauses; a resumed job continues its own window."""
        state = self.state
        current = state.windows.get("job")
        if job_id == (None if current is None else current.job_id):
            return
        self._advance(moment.at)
        if current is not None and current.job_id is not None:
            del state.windows["job"]
            current.end = moment.at
            self._events.emit(current, moment, closed=True)
            state.jobs[current.job_id] = current
            drop_oldest(state.jobs, limit=MAX_PAST_JOBS)
        if job_id is not None:
            window = state.jobs.pop(job_id, None) or OeeWindow(kind="job", start=moment.at, end=None, job_id=job_id)
            window.resume(moment.at)
            state.windows["job"] = window

    def change_shift(self, shift: ShiftWindow, *, moment: Moment) -> None:
        """Close the shift's window at its end and open the next one."""
        self._advance(moment.at)
        self.state.shift_id = shift.shift_id
        self._roll_over(OeeWindow(kind="shift", start=moment.at, end=shift.end, shift_id=shift.shift_id), moment)

    def exclude(self, start: Millis, end: Millis, *, moment: Moment) -> None:
        """Take a downtime that a named user confirmed as planned out of the planned busy time."""
        self._advance(moment.at)
        self.state.exclude(start, end)
        self._events.emit_amended(moment, since=start, until=end)

    def include(self, start: Millis, end: Millis, *, moment: Moment) -> None:
        """Put back what `exclude` took out: the confirmation was withdrawn."""
        self._advance(moment.at)
        self.state.include(start, end)
        self._events.emit_amended(moment, since=start, until=end)

    def next_deadline(self) -> Millis:
        due = self.state.checked_at // self._period_ms * self._period_ms + self._period_ms
        hour = self.state.windows["hour"].end
        return due if hour is None else min(due, hour)

    def fire_stop(self, moment: Moment) -> StopChange | None:
        """Judge the stop or restart whose deadline is due."""
        if (due := self.stops.next_deadline()) is None or due > moment.at:
            return None
        self._advance(moment.at)
        return self._apply_stop_change(self.stops.fire(at=moment.at), moment)

    def fire(self, moment: Moment) -> None:
        """Close the hour that ends now; at or after a multiple of the period, emit the windows that moved."""
        at = moment.at
        if self.next_deadline() > at:
            return
        self._advance(at)
        hour = self.state.windows["hour"]
        if hour.end is not None and hour.end <= at:
            _, end = self._plan.hour_at(at)
            self._roll_over(OeeWindow(kind="hour", start=hour.end, end=end, shift_id=self.state.shift_id), moment)
        if at // self._period_ms > self.state.checked_at // self._period_ms:
            self.state.checked_at = at
            for window in self.state.windows.values():
                if self._events.has_moved(window):
                    self._events.emit(window, moment, closed=False)

    def _roll_over(self, next_window: OeeWindow, moment: Moment) -> None:
        ended = self.state.windows[next_window.kind]
        is_empty = not (ended.busy_ms or ended.down_ms or ended.unknown_ms or ended.total)
        if not (is_empty and ended.shift_id is None):  # an empty gap between shifts is not emitted
            self._events.emit(ended, moment, closed=True)
        closed = self.state.closed.setdefault(next_window.kind, [])
        closed.append(ended)
        del closed[: -CLOSED_WINDOWS_KEPT[next_window.kind]]
        self.state.windows[next_window.kind] = next_window

    def _advance(self, at: Millis) -> None:
        state = self.state
        if at <= state.at:
            return
        if state.at < state.unknown_until < at:
            self._advance(state.unknown_until)
        spent = at - state.at
        time_class = time_class_of(state.stops) if state.at >= state.unknown_until else TimeClass.UNKNOWN
        is_unknown = time_class is TimeClass.UNKNOWN
        is_unplanned = time_class is TimeClass.BUSY and state.shift_id is None
        for window in state.windows.values():
            window.add_time(time_class, spent)
            window.estimated = window.estimated or is_unknown
            window.unplanned_run = window.unplanned_run or is_unplanned
        job = state.windows.get("job")
        state.add_elapsed(TimeStretch(state.at, at, time_class, None if job is None else job.job_id))
        state.at = at

    def _apply_stop_change(self, change: StopChange | None, moment: Moment) -> StopChange | None:
        if change is None:
            return None
        if change.kind is StopChangeKind.CROSSED:
            self._reclass(TimeClass.BUSY, TimeClass.DOWN, change, moment)
        elif change.kind is StopChangeKind.ENDED and change.end > change.start:
            self._reclass(TimeClass.DOWN, TimeClass.BUSY, change, moment)
        return change

    def _reclass(self, old: TimeClass, new: TimeClass, change: StopChange, moment: Moment) -> None:
        for stretch in self.state.recent:
            if stretch.time_class is old:
                self.state.reclassify(old, new, stretch)
                if new is TimeClass.DOWN:
                    self.state.add_down(stretch)
        if new is TimeClass.BUSY:  # it ran again since the change began
            self.state.remove_down(change.start, moment.at)
        else:
            self.state.mark_provisional_down(change.start)
        self.state.recent.clear()
        self._events.emit_amended(moment, since=change.start, until=change.end)
