"""All lines of a plant: routes reports by place, and ticks the lines in an order that is always the same."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final, Self

from bridge.core import plant
from bridge.core.events import Event, Millis
from bridge.core.line.device import Gaps
from bridge.core.line.line import Line
from bridge.core.reports import Outcome, Report, quarantined

STALE: Final = 8  # entries a line of the heap: bounds what deadlines that keep moving leave in it


class Floor:
    """The lines by id. What one line does never touches another.

    The pipeline asks for the next deadline at every message: with 1,000 lines, looking at each of them costs as much as
    applying a report. So deadlines are kept in a heap; one that is no longer its line's is passed over.
    """

    def __init__(self, plant_file: plant.Plant, checkpoints: Mapping[str, bytes] | None = None) -> None:
        given = checkpoints or {}
        self._lines = {
            spec.id: Line.restore(plant_file, spec, given[spec.id]) if spec.id in given else Line(plant_file, spec)
            for spec in plant_file.lines
        }
        self._order = {line_id: index for index, line_id in enumerate(self._lines)}
        self._changed: set[str] = set()
        self._deadlines = {line_id: line.next_deadline() for line_id, line in self._lines.items()}
        self._heap: list[tuple[Millis, int, str]] = []
        self._build_heap()

    @classmethod
    def restore(cls, plant_file: plant.Plant, checkpoints: Mapping[str, bytes]) -> Self:
        """Continue from checkpoints; a line without one starts new, one the plant file no longer has is left out."""
        return cls(plant_file, checkpoints)

    def places(self) -> frozenset[tuple[str, str, str]]:
        """Return (site, area, line) of every line."""
        return frozenset((line.place.site, line.place.area, line.place.line) for line in self._lines.values())

    def line(self, line_id: str) -> Line | None:
        return self._lines.get(line_id)

    def apply(self, report: Report, now: Millis) -> Outcome:
        """Apply a report to its line; quarantined where the plant file has no such place or equipment."""
        line = self._lines.get(report.place.line)
        if line is None or line.place != report.place.whole_line():
            return Outcome(quarantined("unknown_place"))
        self._changed.add(report.place.line)
        outcome = line.apply(report, now)
        self._note(report.place.line, line)
        return outcome

    def next_deadline(self) -> Millis | None:
        """Return the earliest deadline of all lines."""
        heap = self._heap
        while heap and self._deadlines[heap[0][2]] != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def tick(self, now: Millis) -> list[tuple[str, tuple[Event, ...]]]:
        """Fire what is due, line by line in order of (first deadline, place in the plant file)."""
        ticked: list[tuple[str, tuple[Event, ...]]] = []
        while (at := self.next_deadline()) is not None and at <= now:
            _, _, line_id = heappop(self._heap)
            line = self._lines[line_id]
            self._changed.add(line_id)
            ticked.append((line_id, line.tick(now)))  # leaves nothing due until `now`: each line comes once
            self._note(line_id, line)
        return ticked

    def _note(self, line_id: str, line: Line) -> None:
        at = line.next_deadline()
        if at == self._deadlines[line_id]:
            return
        self._deadlines[line_id] = at
        if at is not None:
            heappush(self._heap, (at, self._order[line_id], line_id))
        if len(self._heap) > STALE * len(self._lines):
            self._build_heap()

    def _build_heap(self) -> None:
        self._heap = [(at, self._order[each], each) for each, at in self._deadlines.items() if at is not None]
        heapify(self._heap)

    def settle(self, now: Millis, *, cause: str) -> list[Event]:
        """Let every line tell what is different under a plant file that has just changed."""
        events: list[Event] = []
        for line_id, line in self._lines.items():
            self._changed.add(line_id)
            events += line.settle(now, cause=cause)
            self._note(line_id, line)
        return events

    def absent(self, since: Millis, now: Millis, *, cause: str) -> tuple[Event, ...]:
        """Take all that is known of machines for unknown from `since` on: nobody watched, and it is `now`."""
        events: list[Event] = []
        for line_id, line in self._lines.items():
            self._changed.add(line_id)
            events += line.absent(since, now, cause=cause)
            self._note(line_id, line)
        return tuple(events)

    def gaps(self) -> Mapping[str, Gaps]:
        """Return what was missing of each line's reports, of the lines where anything was."""
        found = {line_id: line.gaps() for line_id, line in self._lines.items()}
        return {line_id: gaps for line_id, gaps in found.items() if gaps.missed}

    def changed(self) -> frozenset[str]:
        """Return the lines whose state may differ from their last checkpoint."""
        return frozenset(self._changed)

    def checkpoint(self, line_id: str) -> bytes:
        """Return a line's state, which from now on counts as unchanged; KeyError for an unknown line."""
        state = self._lines[line_id].checkpoint()
        self._changed.discard(line_id)
        return state
