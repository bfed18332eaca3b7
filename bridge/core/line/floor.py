"""All lines of a plant: routes reports by place, and ticks the lines in an order that is always the same."""

from collections.abc import Mapping
from typing import Self

from bridge.core import plant
from bridge.core.events import Event, Millis
from bridge.core.line.line import Line
from bridge.core.reports import Outcome, Report, quarantined


class Floor:
    """The lines by id. What one line does never touches another."""

    def __init__(self, plant_file: plant.Plant, checkpoints: Mapping[str, bytes] | None = None) -> None:
        given = checkpoints or {}
        self._lines = {
            spec.id: Line.restore(plant_file, spec, given[spec.id]) if spec.id in given else Line(plant_file, spec)
            for spec in plant_file.lines
        }
        self._order = {line_id: index for index, line_id in enumerate(self._lines)}
        self._changed: set[str] = set()

    @classmethod
    def restore(cls, plant_file: plant.Plant, checkpoints: Mapping[str, bytes]) -> Self:
        """Continue from checkpoints; a line without one starts new, one the plant file no longer has is left out."""
        return cls(plant_file, checkpoints)

    def line(self, line_id: str) -> Line | None:
        return self._lines.get(line_id)

    def apply(self, report: Report, now: Millis) -> Outcome:
        """Apply a report to its line; quarantined where the plant file has no such place or equipment."""
        line = self._lines.get(report.place.line)
        if line is None or line.place != report.place.whole_line():
            return Outcome(quarantined("unknown_place"))
        self._changed.add(report.place.line)
        return line.apply(report, now)

    def next_deadline(self) -> Millis | None:
        """Return the earliest deadline of all lines."""
        deadlines = (line.next_deadline() for line in self._lines.values())
        return min((at for at in deadlines if at is not None), default=None)

    def tick(self, now: Millis) -> list[tuple[str, tuple[Event, ...]]]:
        """Fire what is due, line by line in order of (first deadline, place in the plant file)."""
        due = sorted(
            (at, self._order[line_id], line_id)
            for line_id, line in self._lines.items()
            if (at := line.next_deadline()) is not None and at <= now
        )
        self._changed.update(line_id for _, _, line_id in due)
        return [(line_id, self._lines[line_id].tick(now)) for _, _, line_id in due]

    def changed(self) -> frozenset[str]:
        """Return the lines whose state may differ from their last checkpoint."""
        return frozenset(self._changed)

    def checkpoint(self, line_id: str) -> bytes:
        """Return a line's state, which from now on counts as unchanged; KeyError for an unknown line."""
        state = self._lines[line_id].checkpoint()
        self._changed.discard(line_id)
        return state
