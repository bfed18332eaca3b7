"""Registry of one line's downtimes: ids, the open one, the latest closed ones, and their events."""

from msgspec import Struct, field

from bridge.domain import plant
from bridge.domain.bounded_dict import drop_oldest
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import Downtime
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.line.downtime.findings import DowntimeFindings
from bridge.domain.line.downtime.record import DowntimeRecord, categorize, downtime_data, reason_of
from bridge.domain.line.downtime.split import SplitState
from bridge.domain.reports import Moment
from bridge.domain.utc_time import Millis

MAX_CLOSED_DOWNTIMES = 100  # the latest that may still be classified and confirmed; bounds the checkpoint


class DowntimesState(Struct, rename={"last_emitted": "told", "split": "turn"}):
    """A line's downtimes; checkpointed."""

    next_number: int = 1
    pending: DowntimeFindings | None = None  # of a stop that is not a downtime yet
    open: DowntimeRecord | None = None
    last_emitted: Downtime | None = None  # last emitted data of the open one: a change is a revision
    closed: dict[str, DowntimeRecord] = field(default_factory=dict)
    split: SplitState = field(default_factory=SplitState)


class DowntimeRegistry:
    """At most one open downtime, and the latest closed ones."""

    def __init__(self, state: DowntimesState, *, plant_config: plant.Plant, line_id: str, emitter: Emitter) -> None:
        self._state = state
        self._plant_config = plant_config
        self._line = line_id
        self._emitter = emitter

    def next_id(self) -> str:
        number = self._state.next_number
        self._state.next_number += 1
        return f"{self._line}.down.{number}"

    def find(self, downtime_id: str) -> DowntimeRecord | None:
        opened = self._state.open
        if opened is not None and opened.downtime_id == downtime_id:
            return opened
        return self._state.closed.get(downtime_id)

    def begin(self, record: DowntimeRecord) -> None:
        """Make it the open downtime; its first revision emits it."""
        self._prioritize(record)
        self._state.open, self._state.last_emitted = record, None

    def revise(self, record: DowntimeRecord, moment: Moment) -> None:
        """Emit the open downtime if it differs from what was emitted last."""
        data = downtime_data(record, self._plant_config)
        if data != self._state.last_emitted:
            self._state.last_emitted = data
            self._emit(record, moment, standing=Standing.CURRENT)

    def end(self, record: DowntimeRecord, ended_at: Millis, moment: Moment, *, estimated: bool = False) -> None:
        record.status, record.ended_at = "closed", ended_at
        record.call_at = record.interrupted_call = None
        self.close(record, moment, estimated=estimated)

    def close(self, record: DowntimeRecord, moment: Moment, *, estimated: bool = False) -> None:
        """Keep and emit a downtime that has ended; `estimated`: it, or its end, was not observed."""
        closed = self._state.closed
        closed[record.downtime_id] = record
        drop_oldest(closed, limit=MAX_CLOSED_DOWNTIMES)
        self._emit(record, moment, standing=Standing.CLOSED, estimated=estimated)

    def amend(self, record: DowntimeRecord, moment: Moment, *, estimated: bool = False) -> None:
        """Emit a closed downtime that was classified, confirmed or unconfirmed, or whose times were corrected."""
        self._emit(record, moment, standing=Standing.HISTORY, estimated=estimated)

    def add(self, record: DowntimeRecord, moment: Moment) -> None:
        """Keep and emit a downtime that was over before it became known."""
        self._prioritize(record)
        self.close(record, moment, estimated=True)

    def correct_end(self, downtime_id: str, ended_at: Millis, moment: Moment) -> None:
        """Correct the unobserved end of a stop: that of the last part of its downtime that began before `ended_at`.

        A confirmed downtime stays unchanged.
        """
        first = self._state.closed.get(downtime_id)
        if first is None:
            return
        parts = [part for part in self.kept_downtimes() if first.started_at <= part.started_at < ended_at]
        record = parts[-1] if parts else first
        if record.status == "closed" and record.ended_at != ended_at:
            record.ended_at = ended_at
            self.amend(record, moment, estimated=True)

    def correct_start(self, record: DowntimeRecord, started_at: Millis, moment: Moment) -> None:
        """Correct the start of a downtime that was not fully observed; a confirmed one stays unchanged."""
        if record.status == "confirmed" or record.started_at == started_at:
            return
        record.started_at = started_at
        self._emit_correction(record, moment)

    def kept_downtimes(self) -> list[DowntimeRecord]:
        """Return the kept downtimes, oldest first, without minor stops."""
        opened = self._state.open
        records = [*self._state.closed.values(), *([] if opened is None else [opened])]
        return sorted((record for record in records if not record.micro_stop), key=lambda record: record.started_at)

    def extend(self, start: Millis, end: Millis, moment: Moment) -> bool:
        """Extend an adjacent, unconfirmed downtime by [start, end); return whether there is one."""
        for record in self.kept_downtimes():
            if record.status != "confirmed" and start in (record.ended_at, record.started_at - (end - start)):
                record.started_at = min(record.started_at, start)
                record.ended_at = None if record.ended_at is None else max(record.ended_at, end)
                self._emit_correction(record, moment)
                return True
        return False

    def _emit_correction(self, record: DowntimeRecord, moment: Moment) -> None:
        if record is self._state.open:
            self.revise(record, moment)
        else:
            self.amend(record, moment, estimated=True)

    def _prioritize(self, record: DowntimeRecord) -> None:
        category = categorize(record, reason_of(record, self._plant_config))
        record.priority = Priority.HIGH if category == "unplanned" else Priority.MEDIUM

    def _emit(self, record: DowntimeRecord, moment: Moment, *, standing: Standing, estimated: bool = False) -> None:
        self._emitter.emit(
            EventType.DOWNTIME_EVENT,
            downtime_data(record, self._plant_config),
            moment=moment,
            equipment=None,
            subject=record.downtime_id,
            priority=record.priority,
            standing=standing,
            estimated=estimated or record.unwatched,
        )
