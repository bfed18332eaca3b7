"""Emission of oee_update for one scope, when a window has moved far enough."""

from bridge.domain.emitter import Emitter
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.line.output.oee_state import LastEmitted, OeeState
from bridge.domain.line.output.oee_window import OeeWindow, compute_ratios, oee_data
from bridge.domain.reports import Moment
from bridge.domain.utc_time import Millis

UNKNOWN_STEP_MS = 60_000  # of unknown time, then twice as much: it moves no ratio, but dashboards must see it


class OeeEmitter:
    """Emits the windows of one scope; `equipment` is None for the line."""

    def __init__(self, state: OeeState, *, equipment: str | None, step: float, emitter: Emitter) -> None:
        self._state = state
        self._equipment = equipment
        self._step = step
        self._emitter = emitter

    def emit_past(self, moment: Moment, *, since: Millis, until: Millis) -> None:
        """Emit the closed windows that overlap [since, until) again, as history."""
        for window in self._state.past_windows:
            if window.end is not None and window.end > since and window.start < until:
                self.emit(window, moment, closed=True, standing=Standing.HISTORY)

    def emit_amended(self, moment: Moment, *, since: Millis, until: Millis) -> None:
        """Emit every closed window that overlaps [since, until), and the current ones."""
        self.emit_past(moment, since=since, until=until)
        for window in self._state.windows.values():
            self.emit(window, moment, closed=False)

    def has_moved(self, window: OeeWindow) -> bool:
        """Return whether a window differs from its last emitted values by at least the step."""
        last = self._state.last_emitted.get(window.kind)
        if last is None or last.start != window.start:
            return True
        grown = window.unknown_ms - last.unknown_ms
        if grown >= max(UNKNOWN_STEP_MS, last.unknown_ms) and not self._state.unwatched:
            return True
        ratios = compute_ratios(window, rated=self._state.ideal_cycle is not None)
        return last.differs_from(window, ratios, step=self._step)

    def emit(self, window: OeeWindow, moment: Moment, *, closed: bool, standing: Standing = Standing.CURRENT) -> None:
        """Emit one window; if current, keep its values for the next comparison."""
        ratios = compute_ratios(window, rated=self._state.ideal_cycle is not None)
        if standing is Standing.CURRENT:
            self._state.last_emitted[window.kind] = LastEmitted.of(window, ratios)
        self._emitter.emit(
            EventType.OEE_UPDATE,
            oee_data(window, ratios, ideal_cycle=self._state.ideal_cycle, closed=closed),
            moment=moment,
            equipment=self._equipment,
            subject=window.kind,
            priority=Priority.LOW,
            standing=standing,
            estimated=window.estimated,
        )
