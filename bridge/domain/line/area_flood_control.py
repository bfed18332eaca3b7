"""Flood control of one area: the lines whose automatic calls are limited together, and the area's deadlines."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from bridge.domain.escalation_policy import FloodRule
from bridge.domain.events import Event
from bridge.domain.line.flood_tracker import FloodTracker
from bridge.domain.line.line import Line
from bridge.domain.utc_time import Millis

MAX_LISTED: Final = 20  # held calls that a summary names; bounds its description

LineEvents = list[tuple[str, tuple[Event, ...]]]
"""(line id, events), in order."""


class AreaFloodControl:
    """Acts on its lines when flood control is due, after their own deadlines of the same instant."""

    def __init__(self, area_id: str, rule: FloodRule, lines: Mapping[str, Line]) -> None:
        self._id = area_id
        self._minutes = rule.minutes
        self._lines = lines
        self._flood = FloodTracker(rule, {line_id: line.automatic_calls.flood for line_id, line in lines.items()})
        for line in lines.values():
            line.automatic_calls.join(self._flood)

    @property
    def changed(self) -> bool:
        """Return whether the deadline may have changed since the last `next_deadline`."""
        return self._flood.changed

    def next_deadline(self) -> Millis | None:
        return self._flood.next_deadline()

    def set_forward(self, by: Millis) -> None:
        """Shift every deadline by a forward jump of the host's clock."""
        self._flood.set_forward(by)

    def fire(self, at: Millis) -> LineEvents:
        """Do what is due at `at`: list the held calls, end the flood, release the calls it held."""
        fired: LineEvents = []
        held = self._flood.held_calls()
        if any(not call.listed and call.at <= at for _, call in held):
            fired.append(self._summarize(at))
        if self._flood.is_over(at):
            self._flood.end()
            fired += [self._end_summary(line_id, at) for line_id in self._lines_with_summary()]
        if not self._flood.active:
            fired += self._release(at)
        return fired

    def _summarize(self, at: Millis) -> tuple[str, tuple[Event, ...]]:
        held = self._flood.held_calls()
        first = next(line_id for line_id, call in held if not call.listed)
        line_id = next(iter(self._lines_with_summary()), first)
        names = [
            line_id if call.request.equipment is None else f"{line_id} {call.request.equipment}"
            for line_id, call in held
        ]
        more = "" if len(names) <= MAX_LISTED else f" and {len(names) - MAX_LISTED} more"
        for _, call in held:
            call.listed = True
        listed = ", ".join(names[:MAX_LISTED]) + more
        text = f"Area {self._id}: more stops than calls in {self._minutes:g} min. Held: {listed}"
        line = self._lines[line_id]
        return line_id, line.apply_action(at, lambda moment: line.automatic_calls.summarize(text, moment=moment))

    def _end_summary(self, line_id: str, at: Millis) -> tuple[str, tuple[Event, ...]]:
        line = self._lines[line_id]
        return line_id, line.apply_action(at, lambda moment: line.automatic_calls.end_flood(moment=moment))

    def _lines_with_summary(self) -> list[str]:
        return [line_id for line_id, line in self._lines.items() if line.automatic_calls.summary_call is not None]

    def _release(self, at: Millis) -> LineEvents:
        fired: LineEvents = []
        for line_id, held in self._flood.held_calls():
            if not self._flood.has_room(at):
                break
            line = self._lines[line_id]
            wanted = line.downtimes.is_call_wanted(held.request.downtime_id)
            fired.append((line_id, line.apply_action(at, partial(line.automatic_calls.release_held, wanted=wanted))))
        return fired
