"""All lines of a plant: routing of reports by place, and deadlines of all lines in one order of time."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final, Self

from bridge.domain import plant
from bridge.domain.events import Event
from bridge.domain.line.area_flood_control import AreaFloodControl, LineEvents
from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.device.state import SequenceGaps
from bridge.domain.line.line import Line
from bridge.domain.place import LINE_LEVEL, LinePlace, Place
from bridge.domain.reports import Disposition, Outcome, Report, quarantined
from bridge.domain.utc_time import Millis

HEAP_ENTRIES_PER_LINE: Final = 8  # heap entries per line: bounds what deadlines that keep moving leave in it


class Floor:
    """The lines by id. Lines affect each other only through their area's flood control.

    For it, deadlines fire in order of (time, place in the plant file), an area's after its lines'. Before a report is
    applied to one line, the other lines' deadlines up to then fire. So it does not matter when the floor is ticked.

    The pipeline asks for the next deadline at every message. With 1,000 lines, asking each of them costs as much as
    applying a report. So deadlines are kept in a heap, and outdated entries are skipped. An area has a deadline only
    during a flood or while it holds calls.
    """

    def __init__(self, plant_config: plant.Plant, checkpoints: Mapping[str, bytes] | None = None) -> None:
        saved = checkpoints or {}
        self._lines = {
            spec.id: Line.restore(plant_config, spec, saved[spec.id]) if spec.id in saved else Line(plant_config, spec)
            for spec in plant_config.lines
        }
        lines_by_area: dict[tuple[str, str], dict[str, Line]] = {
            (spec.site, spec.id): {} for spec in plant_config.areas
        }
        for line_id, line in self._lines.items():
            lines_by_area[line.place.site, line.place.area][line_id] = line
        self._areas = {
            (site, area): AreaFloodControl(area, plant_config.flood, lines)
            for (site, area), lines in lines_by_area.items()
        }
        self._area_deadlines: dict[tuple[str, str], Millis] = {}
        for area_key in self._areas:
            self._update_area_deadline(area_key)
        self._order = {line_id: index for index, line_id in enumerate(self._lines)}
        self._changed: set[str] = set()
        self._deadlines = {line_id: line.next_deadline() for line_id, line in self._lines.items()}
        self._heap: list[tuple[Millis, int, str]] = []
        self._build_heap()

    @classmethod
    def restore(cls, plant_config: plant.Plant, checkpoints: Mapping[str, bytes]) -> Self:
        """Restore from checkpoints; a line without one starts new, one missing from the plant file is left out."""
        return cls(plant_config, checkpoints)

    def line_places(self) -> frozenset[LinePlace]:
        """Return (site, area, line) of every line."""
        return frozenset((line.place.site, line.place.area, line.place.line) for line in self._lines.values())

    def places(self) -> list[Place]:
        """Return every place from which a report may come: each line, and its equipment."""
        return [
            line.place.with_equipment(equipment)
            for line in self._lines.values()
            for equipment in (None, *(item.id for item in line.spec.equipment))
        ]

    def line(self, line_id: str) -> Line | None:
        return self._lines.get(line_id)

    def apply(self, report: Report, now: Millis) -> Outcome:
        """Fire all deadlines up to `now`, then apply a report to its line; quarantine it if its place is unknown.

        The events of the deadlines come first.
        """
        line_id = report.place.line
        line = self._find_line(report.place)
        if line is None:
            return Outcome(quarantined("unknown_place"))
        fired = tuple(event for _, events in self.tick(now) for event in events)
        self._changed.add(line_id)
        outcome = line.apply(report, now)
        self._update_deadline(line_id, line)
        return Outcome(outcome.disposition, fired + outcome.events, len(fired) + outcome.deadline_events)

    def is_proven_repeat(self, report: Report) -> bool:
        """Return whether its `ts` proves that a report of known content is the one received before."""
        line = self._find_line(report.place)
        return line is not None and line.devices.is_proven_repeat(report)

    def record_unapplied(self, place: Place, disposition: Disposition, now: Millis) -> None:
        """Record the disposition of a message from this place that did not reach its line."""
        line = self._find_line(place)
        device = None if line is None else line.devices.find(place.equipment)
        if line is not None and device is not None:
            self._changed.add(place.line)
            line.record_unapplied(device, disposition, now)
            self._update_deadline(place.line, line)

    def ineffective_devices(self) -> Mapping[Place, str]:
        """Return the ineffective devices, with the reason of their latest report."""
        return {
            _place_of(line, name): reason
            for line in self._lines.values()
            for name, reason in line.devices.ineffective_devices().items()
        }

    def _find_line(self, place: Place) -> Line | None:
        line = self._lines.get(place.line)
        if line is None or line.place.site != place.site or line.place.area != place.area:
            return None
        return line

    def next_deadline(self) -> Millis | None:
        """Return the earliest deadline of all lines and areas."""
        at = self._next_of_lines()
        if not self._area_deadlines:
            return at
        flooded = min(self._area_deadlines.values())
        return flooded if at is None else min(at, flooded)

    def tick(self, now: Millis) -> list[tuple[str, tuple[Event, ...]]]:
        """Fire what is due, in order of time; return (line id, events) of each step."""
        ticked: list[tuple[str, tuple[Event, ...]]] = []
        while (at := self.next_deadline()) is not None and at <= now:
            if self._next_of_lines() == at:
                _, _, line_id = heappop(self._heap)
                line = self._lines[line_id]
                self._changed.add(line_id)
                ticked.append((line_id, line.tick(at)))
                self._update_deadline(line_id, line)
            else:
                ticked += self._fire_area(at)
        return ticked

    def _next_of_lines(self) -> Millis | None:
        heap = self._heap
        while heap and self._deadlines[heap[0][2]] != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def _fire_area(self, at: Millis) -> LineEvents:
        area_key = next(key for key in self._areas if self._area_deadlines.get(key) == at)
        fired = self._areas[area_key].fire(at)
        for line_id, _ in fired:
            self._changed.add(line_id)
            self._update_deadline(line_id, self._lines[line_id])
        self._update_area_deadline(area_key)
        assert self._area_deadlines.get(area_key) != at, "a deadline that fired must have moved"
        return fired

    def _update_area_deadline(self, area_key: tuple[str, str]) -> None:
        at = self._areas[area_key].next_deadline()
        if at is None:
            self._area_deadlines.pop(area_key, None)
        else:
            self._area_deadlines[area_key] = at

    def _update_deadline(self, line_id: str, line: Line) -> None:
        area_key = (line.place.site, line.place.area)
        if self._areas[area_key].changed:
            self._update_area_deadline(area_key)
        at = line.next_deadline()
        if at == self._deadlines[line_id]:
            return
        self._deadlines[line_id] = at
        if at is not None:
            heappush(self._heap, (at, self._order[line_id], line_id))
        if len(self._heap) > HEAP_ENTRIES_PER_LINE * len(self._lines):
            self._build_heap()

    @property
    def heap_size(self) -> int:
        """The number of heap entries, outdated ones included."""
        return len(self._heap)

    def _build_heap(self) -> None:
        self._heap = [(at, self._order[line_id], line_id) for line_id, at in self._deadlines.items() if at is not None]
        heapify(self._heap)

    def emit_plant_changes(self, now: Millis, *, cause: str) -> list[Event]:
        """Emit what differs on every line under a plant file that has just changed."""
        events: list[Event] = []
        for line_id, line in self._lines.items():
            self._changed.add(line_id)
            events += line.emit_plant_changes(now, cause=cause)
            self._update_deadline(line_id, line)
        return events

    def apply_absence(self, since: Millis, now: Millis, *, cause: str) -> tuple[Event, ...]:
        """Mark all machines unknown from `since` on, as the bridge was absent; it is `now`."""
        events = [event for _, fired in self.tick(since) for event in fired]
        for line_id, line in self._lines.items():
            self._changed.add(line_id)
            events += line.apply_absence(since, now, cause=cause)
            self._update_deadline(line_id, line)
        return tuple(events)

    def set_forward(self, by: Millis, now: Millis) -> tuple[Event, ...]:
        """Treat [now - by, now) as no time at all: the host's clock was set forward."""
        events = [event for _, fired in self.tick(now - by) for event in fired]
        for line_id, line in self._lines.items():
            self._changed.add(line_id)
            events += line.set_forward(by, now)
            self._update_deadline(line_id, line)
        for area_key, area in self._areas.items():
            area.set_forward(by)
            self._update_area_deadline(area_key)
        return tuple(events)

    def gaps_by_line(self) -> Mapping[str, SequenceGaps]:
        """Return the counts of missing and unplaced reports by line, only of lines that have any."""
        all_gaps = {line_id: line.devices.gaps() for line_id, line in self._lines.items()}
        return {line_id: gaps for line_id, gaps in all_gaps.items() if gaps.missed or gaps.unplaced}

    def gaps_by_device(self) -> Mapping[Place, SequenceGaps]:
        """Return the same by device, only of devices that have any."""
        return {
            _place_of(line, name): gaps
            for line in self._lines.values()
            for name, gaps in line.devices.gaps_by_device().items()
        }

    def counter_fits(self) -> Mapping[tuple[str, str], CounterFit]:
        """Return how counters agree with the plant file, by line and equipment; only where that was ever in doubt."""
        fits = {line_id: line.counter_fits() for line_id, line in self._lines.items()}
        return {(line_id, name): fit for line_id, machines in fits.items() for name, fit in machines.items()}

    def changed_lines(self) -> frozenset[str]:
        """Return the lines whose state may differ from their last checkpoint."""
        return frozenset(self._changed)

    def checkpoint(self, line_id: str) -> bytes:
        """Return a line's checkpoint and mark the line unchanged; raise KeyError for an unknown line."""
        state = self._lines[line_id].checkpoint()
        self._changed.discard(line_id)
        return state


def _place_of(line: Line, name: str) -> Place:
    """Return the place of an equipment, or of the line itself for `_`."""
    return line.place if name == LINE_LEVEL else line.place.with_equipment(name)
