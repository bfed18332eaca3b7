"""One area of the plant: the lines whose automatic calls are limited together, and its own deadlines."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from bridge.core.call_rules import Flood
from bridge.core.events import Event, Millis
from bridge.core.line.flood import AreaFlood
from bridge.core.line.line import Line

LISTED: Final = 20  # troubles that a summary names; bounds its description

Fired = list[tuple[str, tuple[Event, ...]]]
"""(line id, events), in order."""


class Area:
    """Acts on its lines when flood control is due: after what their own deadlines do at the same instant."""

    def __init__(self, area_id: str, rule: Flood, lines: Mapping[str, Line]) -> None:
        self._id = area_id
        self._minutes = rule.minutes
        self._lines = lines
        self._flood = AreaFlood(rule, {line_id: line.automatic_calls.flood for line_id, line in lines.items()})
        for line in lines.values():
            line.automatic_calls.join(self._flood)

    @property
    def changed(self) -> bool:
        """Return whether the deadline may be another than when it was last asked for."""
        return self._flood.changed

    def next_deadline(self) -> Millis | None:
        return self._flood.next_deadline()

    def set_forward(self, by: Millis) -> None:
        """The host's clock was set forward: every deadline is as much later."""
        self._flood.set_forward(by)

    def fire(self, at: Millis) -> Fired:
        """Do what is due now: list what is held, end the flood, release what it held."""
        fired: Fired = []
        held = self._flood.held()
        if any(not each.listed and each.at <= at for _, each in held):
            fired.append(self._summarize(at))
        if self._flood.is_over(at):
            self._flood.end()
            fired += [self._end_summary(line_id, at) for line_id in self._with_summary()]
        if not self._flood.active:
            fired += self._release(at)
        return fired

    def _summarize(self, at: Millis) -> tuple[str, tuple[Event, ...]]:
        held = self._flood.held()
        first = next(line_id for line_id, each in held if not each.listed)
        line_id = next(iter(self._with_summary()), first)
        names = [
            line_id if each.help.equipment is None else f"{line_id} {each.help.equipment}" for line_id, each in held
        ]
        more = "" if len(names) <= LISTED else f" and {len(names) - LISTED} more"
        for _, each in held:
            each.listed = True
        text = (
            f"Area {self._id}: more stops than calls in {self._minutes:g} min. Held: {', '.join(names[:LISTED])}{more}"
        )
        line = self._lines[line_id]
        return line_id, line.step(at, lambda moment: line.automatic_calls.summarize(text, moment=moment))

    def _end_summary(self, line_id: str, at: Millis) -> tuple[str, tuple[Event, ...]]:
        line = self._lines[line_id]
        return line_id, line.step(at, lambda moment: line.automatic_calls.end_flood(moment=moment))

    def _with_summary(self) -> list[str]:
        return [line_id for line_id, line in self._lines.items() if line.automatic_calls.summary is not None]

    def _release(self, at: Millis) -> Fired:
        fired: Fired = []
        for line_id, held in self._flood.held():
            if not self._flood.has_room(at):
                break
            line = self._lines[line_id]
            wanted = line.downtimes.wants_help(held.help.downtime_id)
            fired.append((line_id, line.step(at, partial(line.automatic_calls.release, wanted=wanted))))
        return fired
