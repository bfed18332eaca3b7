"""The base of OEE, window by window: planned busy and actual production time, and unknown time.

Source: domain.md, «OEE» and «Downtime»: a downtime leaves the production time from its beginning, unknown time is in
neither base.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.recount.line_history import LineHistory
from tests.recount.reported_facts import EventBody, millis
from tests.recount.stops import StopDetector

HOUR: Final = 3_600_000
SAME_MS: Final = 5  # times are floats of seconds
PARTS: Final = ("busy", "down", "unknown")


@dataclass(frozen=True, slots=True)
class WindowTimes:
    """One closed window; times in milliseconds. `place` is `_` for the line."""

    line: str
    place: str
    kind: str
    since: int
    until: int
    busy: int
    down: int
    unknown: int

    @property
    def key(self) -> tuple[object, ...]:
        return (self.line, self.place, self.kind, self.since, self.until)

    def off(self, other: "WindowTimes") -> int:
        """Return by how many milliseconds the two differ."""
        return max(abs(self.busy - other.busy), abs(self.down - other.down), abs(self.unknown - other.unknown))


def reported_windows(events: list[EventBody]) -> Iterator[WindowTimes]:
    """Yield every closed window as it was last reported."""
    latest: dict[tuple[object, ...], EventBody] = {}
    for event in events:
        if event["type"] == "oee_update" and event["data"]["closed"]:
            data = event["data"]
            key = (event["line_id"], event["equipment_code"], data["window"], data["window_start"])
            latest[*key, data.get("job_id")] = event  # two jobs of one backlog begin at one instant
    for event in latest.values():
        yield _window(event["line_id"], event["equipment_code"] or "_", event["data"])


def _window(line: str, place: str, data: dict[str, Any]) -> WindowTimes:
    planned, actual = round(data["planned_busy_seconds"] * 1000), round(data["actual_production_seconds"] * 1000)
    return WindowTimes(
        line=line,
        place=place,
        kind=data["window"],
        since=millis(data["window_start"]),
        until=millis(data["window_end"]),
        busy=actual,
        down=planned - actual,
        unknown=round(data["unknown_seconds"] * 1000),
    )


def expected_windows(
    line_history: LineHistory, *, start: int, until: int, shift_ends: tuple[int, ...]
) -> Iterator[WindowTimes]:
    """Yield every window that has closed, of the line and of each machine with an ideal cycle of its own."""
    watches = {"_": line_history.watch}
    watches |= {
        name: line_history.watches[name] for name, machine in line_history.line.machines.items() if machine.ideal_cycle
    }
    for place, watch in watches.items():
        for begin in range(start - start % HOUR, until - HOUR + 1, HOUR):
            yield _of(line_history.line.id, place, "hour", watch, [(begin, begin + HOUR)])
        for end in shift_ends:
            yield _of(line_history.line.id, place, "shift", watch, [(end - 8 * HOUR, end)])
        for spans in _jobs(line_history):
            yield _of(line_history.line.id, place, "job", watch, spans)


def _jobs(line_history: LineHistory) -> Iterator[list[tuple[int, int]]]:
    """Yield when each job that is over or paused was in progress."""
    spans: dict[str, list[tuple[int, int]]] = {}
    running = line_history.orders.running
    for job, since, until in line_history.orders.spans:
        if until is not None and (running is None or job != running.id):
            spans.setdefault(job, []).append((since, until))
    yield from spans.values()


def _of(line: str, place: str, kind: str, watch: StopDetector, spans: list[tuple[int, int]]) -> WindowTimes:
    times = [watch.times(since, until) for since, until in spans]
    busy, down, unknown = (sum(pair[part] for pair in times) for part in PARTS)
    return WindowTimes(line, place, kind, spans[0][0], spans[-1][1], busy, down, unknown)


@dataclass(slots=True)
class WindowComparison:
    expected: int = 0
    same: int = 0
    different: list[tuple[WindowTimes, WindowTimes | None]] = field(default_factory=list)


def compare_windows(expected: list[WindowTimes], reported: list[WindowTimes]) -> WindowComparison:
    comparison = WindowComparison(len(expected))
    reported_by_key = {window.key: window for window in reported}
    for window in expected:
        other = reported_by_key.get(window.key)
        if other is not None and window.off(other) <= SAME_MS:
            comparison.same += 1
        else:
            comparison.different.append((window, other))
    return comparison
