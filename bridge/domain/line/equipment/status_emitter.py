"""Emission of line_status_update for a line or a machine, and the status last emitted.

When (domain.md): on change of status, cause, reason, job or product; on a change of speed alone at most once a second.
"""

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from bridge.domain.emitter import Emitter
from bridge.domain.event_data import LineStatus, Status, StatusCause
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import Moment
from bridge.domain.utc_time import Millis, rfc3339

SPEED_PERIOD_MS: Final = 1_000


class StatusKey(Struct, frozen=True, kw_only=True):
    """A status as dashboards see it. A change of any field is emitted at once."""

    status: Status
    scheduled: bool
    cause: StatusCause | None = None
    reason_code: str | None = None
    product: str | None = None
    job_id: str | None = None
    stale: bool = False
    estimated: bool = False
    ineffective: bool = False  # alive, but none of its reports has an effect


class Speed(Struct, frozen=True, kw_only=True):
    """Values that change all the time, and alone are emitted at most once a second."""

    speed: float | None = None
    target_speed: float | None = None
    unit: str | None = None
    equipment: dict[str, Status] | None = None  # of a line: its machines, which have events of their own


class StatusEmitterState(Struct, rename={"status_key": "face"}):
    """The last emitted status, and when a changed speed is due; checkpointed."""

    status_key: StatusKey | None = None
    speed: Speed | None = None
    since: Millis = 0
    previous: Status | None = None
    speed_due: Millis | None = None


def _machines_of(speed: Speed | None) -> frozenset[str] | None:
    """Return the machines of a line, which only another plant file changes."""
    return None if speed is None or speed.equipment is None else frozenset(speed.equipment)


@dataclass(frozen=True, slots=True)
class StatusEmitter:
    """Emits the status of one line (`equipment` None) or machine when it changes."""

    state: StatusEmitterState
    emitter: Emitter
    equipment: str | None

    def update(self, key: StatusKey, speed: Speed, *, moment: Moment) -> None:
        """Emit now if `key` changed; delay a change of speed alone to the next whole second."""
        state = self.state
        if key == state.status_key:
            if speed == state.speed:
                return
            if _machines_of(speed) == _machines_of(state.speed):
                state.speed = speed
                state.speed_due = state.speed_due or moment.at // SPEED_PERIOD_MS * SPEED_PERIOD_MS + SPEED_PERIOD_MS
                return
        if state.status_key is None or key.status != state.status_key.status:
            state.previous = None if state.status_key is None else state.status_key.status
            state.since = moment.at
        state.status_key, state.speed = key, speed
        self._emit(key, speed, moment)

    def next_deadline(self) -> Millis | None:
        return self.state.speed_due

    def fire(self, moment: Moment) -> None:
        """Emit a delayed speed change that is due."""
        state = self.state
        is_due = state.speed_due is not None and state.speed_due <= moment.at
        if is_due and state.status_key is not None and state.speed is not None:
            self._emit(state.status_key, state.speed, moment)

    def _emit(self, key: StatusKey, speed: Speed, moment: Moment) -> None:
        self.state.speed_due = None
        data = LineStatus(
            scope="line" if self.equipment is None else "equipment",
            status=key.status,
            previous_status=self.state.previous,
            since=rfc3339(self.state.since),
            scheduled=key.scheduled,
            cause=key.cause,
            speed=speed.speed,
            target_speed=speed.target_speed,
            speed_unit=speed.unit,
            reason_code=key.reason_code,
            product=key.product,
            job_id=key.job_id,
            equipment=speed.equipment,
        )
        self.emitter.emit(
            EventType.LINE_STATUS_UPDATE,
            data,
            moment=moment,
            equipment=self.equipment,
            subject=LINE_LEVEL,
            priority=Priority.MEDIUM,
            standing=Standing.CURRENT,
            stale=key.stale or key.ineffective,
            ineffective=key.ineffective,
            estimated=key.estimated,
        )
