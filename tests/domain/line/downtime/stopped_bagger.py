"""A line whose bagger stopped, and its downtimes and calls."""

from typing import Any

from bridge.domain import event_data
from bridge.domain.events import Event, EventType, Standing
from bridge.domain.reports import DowntimeReport, StateReport
from tests.support.packing_line import LEADER, PackingLine, plant_file, seconds

RUNNING = StateReport(state="running")

STOPPED = StateReport(state="stopped")

FAULT = StateReport(state="fault", fault_bits=[0])


def reported(line: PackingLine) -> list[tuple[float, str, Standing]]:
    """Return (second, status, standing) of each downtime event."""
    return [
        (seconds(event.timestamp), data.status, event.standing)
        for event, data in zip(line.of(EventType.DOWNTIME_EVENT), line.downtimes(), strict=True)
    ]


def stopped_line(body: StateReport = FAULT, **rules: Any) -> PackingLine:
    """Ran from 0, stopped at 100."""
    line = PackingLine(plant_file(**rules))
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", body, at=100)
    return line


def calls(line: PackingLine) -> list[event_data.Andon]:
    return [event.data for event in line.events if isinstance(event.data, event_data.Andon)]


def raised(line: PackingLine) -> list[tuple[float, Event]]:
    calls = [event for event in line.events if event.type is EventType.ANDON_EVENT and event.revision == 1]
    return [(seconds(event.timestamp), event) for event in calls]


def judge(line: PackingLine, at: float, **fields: Any) -> Any:
    body = DowntimeReport(**{"downtime_id": "L1.down.1", **fields})
    return line.report(None, body, at=at, actor=LEADER).disposition
