"""Piece counts of a line or a counting machine in the current shift, and their emission as production_update.

Emitted at most once a period on change, at whole multiples of the period, and at once when a job or a shift ends.
Values that change by the passing of time alone (the rate, and the planned count) are emitted again each minute.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from bridge.domain.emitter import NO_DOUBTFUL_PIECES, DoubtfulPieces, Emitter
from bridge.domain.event_data import PlannedHour, Production
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.line.jobs import JobRecord
from bridge.domain.line.output.piece_shares import PieceShare
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import Moment
from bridge.domain.shifts import ShiftPlan, ShiftWindow
from bridge.domain.utc_time import Millis, rfc3339

RATE_WINDOW_MS: Final = 60_000
RATE_BUCKET_MS: Final = 5_000  # 12 buckets: what the sliding rate stores
MAX_HOURS: Final = 26  # a shift has at most 25 clock hours, on a day of a clock change; one more if it starts between

MAX_DOUBTFUL_PIECES: Final = 2**64 - 1  # differences of misread registers; a checkpoint and an event hold no more


class HourCount(Struct):
    """Good pieces of one clock hour of a shift, which begins at `start`."""

    start: Millis
    count: int = 0  # of good pieces, which is what plans count


class ProductionState(Struct, rename={"last_emitted_rate": "told_rate", "changed": "touched"}):
    """Pieces counted in the current shift, by hour and for the sliding rate; checkpointed."""

    total: int = 0
    good: int = 0
    reject: int = 0
    hours: list[HourCount] = field(default_factory=list)
    buckets: dict[int, int] = field(default_factory=dict)
    due: Millis | None = None
    estimated: bool = False
    changed: bool = False  # changed since the last update, beyond the passing of time
    planned_from: Millis | None = None  # counting began here; None: written by an earlier version, or no plan
    last_emitted_rate: float | None = None  # None: never emitted, so the end of a shift emits nothing
    job_id: str | None = None
    held: dict[str, int] = field(default_factory=dict)  # pieces in doubt, by the equipment whose counters show them
    released: int = 0  # since the last update
    refused: int = 0


class PieceCounter:
    """Counts the pieces of one scope; `equipment` is None for the line."""

    def __init__(
        self,
        state: ProductionState,
        *,
        equipment: str | None,
        target_rate: float | None,
        period_ms: int,
        plan: ShiftPlan,
        emitter: Emitter,
    ) -> None:
        self.state = state
        self._equipment = equipment
        self._target_rate = target_rate
        self._period_ms = period_ms
        self._plan = plan
        self._emitter = emitter

    def start(self, at: Millis) -> None:
        """Begin counting: what the shift made before is unknown, so nothing counts as planned before either."""
        self.state.planned_from = at

    def count(
        self, total: int, good: int, reject: int, *, estimated: bool, shares: Sequence[PieceShare], at: Millis
    ) -> None:
        """Add pieces; the update waits for the next multiple of the period.

        `shares`: when they can have been made, if longer ago. Shares older than a minute do not affect the rate.
        """
        state = self.state
        state.total += total
        state.good += good
        state.reject += reject
        state.estimated = state.estimated or estimated
        bucket, recent = at // RATE_BUCKET_MS, total
        if shares:
            recent = sum(share.total for share in shares if share.start > at - RATE_WINDOW_MS)
            for share in shares:
                self._find_hour(share.start).count += share.good
        else:
            self._find_hour(at).count += good
        if bucket in state.buckets:
            state.buckets[bucket] += recent
        else:
            state.buckets[bucket] = recent
            self._drop_old_buckets(at)
        self.mark_changed(at)

    def set_doubtful(self, source: str, doubtful: DoubtfulPieces, *, at: Millis) -> None:
        """Record the pieces that a machine's counters hold now, and those that they released and refused."""
        state = self.state
        if doubtful == NO_DOUBTFUL_PIECES and source not in state.held:
            return
        held = state.held.pop(source, 0)
        if doubtful.held:
            state.held[source] = min(doubtful.held, MAX_DOUBTFUL_PIECES)
        state.released = min(state.released + doubtful.released, MAX_DOUBTFUL_PIECES)
        state.refused = min(state.refused + doubtful.refused, MAX_DOUBTFUL_PIECES)
        if doubtful.held != held or doubtful.released or doubtful.refused:
            self.mark_changed(at)

    def mark_changed(self, at: Millis) -> None:
        """Record a change; the update is due at the next multiple of the period."""
        self.state.changed = True
        due = at // self._period_ms * self._period_ms + self._period_ms
        self.state.due = due if self.state.due is None else min(due, self.state.due)

    def set_job(self, job: JobRecord | None, *, at: Millis) -> None:
        """Set the job that runs from now on, or None."""
        job_id = None if job is None else job.job_id
        if job_id != self.state.job_id:
            self.state.job_id = job_id
            self.mark_changed(at)

    def next_deadline(self) -> Millis | None:
        return self.state.due

    def fire(self, moment: Moment, *, window: ShiftWindow, job: JobRecord | None) -> None:
        state, at = self.state, moment.at
        if state.due is None or state.due > at:
            return
        rate = self._rate(at)
        if state.changed or rate != state.last_emitted_rate or self._planned_now(window, at) is not None:
            self.emit(moment, window=window, job=job)
        else:
            state.due = _next_minute(at) if rate > 0 else None

    def change_shift(self, moment: Moment, *, window: ShiftWindow, job: JobRecord | None) -> None:
        """Emit the last counts of the shift that ends, and reset them."""
        if self.state.last_emitted_rate is not None or self.state.due is not None:
            self.emit(moment, window=window, job=job)
            self.mark_changed(moment.at)
        state = self.state
        state.total = state.good = state.reject = 0
        state.estimated = False
        state.hours.clear()

    def emit(self, moment: Moment, *, window: ShiftWindow, job: JobRecord | None) -> None:
        """Emit the counts of the window so far."""
        state, at = self.state, moment.at
        rate = self._rate(at)
        planned, since = self._planned_now(window, at), self._planned_from(window)
        state.changed, state.last_emitted_rate = False, rate
        # A stop must not freeze the rate, nor how far behind the line is.
        state.due = _next_minute(at) if rate > 0 or planned is not None else None
        data = Production(
            total_count=max(state.total, 0),
            good_count=max(state.good, 0),
            reject_count=max(state.reject, 0),
            rate_per_minute=rate,
            hourly=self._hourly(window, at),
            production_day=window.production_day,
            window_start=rfc3339(window.start),
            planned_from=None if planned is None or since == window.start else rfc3339(since),
            target_quantity=None if job is None else job.target_quantity,
            progress=None if job is None else max(job.good, 0) / job.target_quantity,
            planned_count_now=planned,
            difference=None if planned is None else round(max(state.good, 0) - planned, 3),
            target_rate=self._target_rate,
            job_id=None if job is None else job.job_id,
            product=None if job is None else job.product,
            shift_id=window.shift_id,
        )
        self._emitter.emit(
            EventType.PRODUCTION_UPDATE,
            data,
            moment=moment,
            equipment=self._equipment,
            subject=LINE_LEVEL,
            priority=Priority.LOW,
            standing=Standing.CURRENT,
            estimated=state.estimated or self._is_contradictory,
            doubtful=DoubtfulPieces(min(sum(state.held.values()), MAX_DOUBTFUL_PIECES), state.released, state.refused),
        )
        state.released = state.refused = 0

    @property
    def _is_contradictory(self) -> bool:
        """Return whether good pieces are negative or exceed the total: two machines' counters count different ones."""
        return not 0 <= self.state.good <= self.state.total

    def _find_hour(self, at: Millis) -> HourCount:
        start, _ = self._plan.hour_at(at)
        hours = self.state.hours
        if hours and hours[-1].start == start:
            return hours[-1]
        index = bisect_left([hour.start for hour in hours], start)
        if index == len(hours) or hours[index].start != start:
            hour = HourCount(start)
            hours.insert(index, hour)
            del hours[:-MAX_HOURS]
            return hour
        return hours[index]

    def _hourly(self, window: ShiftWindow, at: Millis) -> list[PlannedHour]:
        rows: list[PlannedHour] = []
        start, end = self._plan.hour_at(window.start)
        since = self._planned_from(window)
        counted: dict[Millis, int] = {}
        for hour in self.state.hours:  # pieces made before the shift but counted in it go to its first hour
            counted[max(hour.start, start)] = counted.get(max(hour.start, start), 0) + hour.count
        while start <= min(at, window.end - 1) and len(rows) < MAX_HOURS:
            planned = None
            if window.is_scheduled and end > since:
                planned = self._planned_count(max(start, since), min(end, window.end))
            rows.append(PlannedHour(rfc3339(max(start, window.start)), planned, max(counted.get(start, 0), 0)))
            start, end = self._plan.hour_at(end)
        return rows

    def _planned_now(self, window: ShiftWindow, at: Millis) -> float | None:
        return self._planned_count(self._planned_from(window), min(at, window.end)) if window.is_scheduled else None

    def _planned_from(self, window: ShiftWindow) -> Millis:
        return max(window.start, self.state.planned_from or window.start)

    def _planned_count(self, start: Millis, end: Millis) -> float | None:
        return None if self._target_rate is None else round(self._target_rate * max(end - start, 0) / 60_000, 3)

    def _rate(self, at: Millis) -> float:
        self._drop_old_buckets(at)
        return max(sum(self.state.buckets.values()), 0) * 60_000 / RATE_WINDOW_MS

    def _drop_old_buckets(self, at: Millis) -> None:
        oldest = (at - RATE_WINDOW_MS) // RATE_BUCKET_MS + 1
        for bucket in [bucket for bucket in self.state.buckets if bucket < oldest]:
            del self.state.buckets[bucket]


def _next_minute(at: Millis) -> Millis:
    return at // RATE_WINDOW_MS * RATE_WINDOW_MS + RATE_WINDOW_MS
