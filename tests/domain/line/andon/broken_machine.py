"""A line whose bagger breaks down, and the calls and escalations of it."""

from typing import Final

from bridge.domain import event_data
from bridge.domain.event_data import AndonType
from bridge.domain.reports import Actor, AndonReport, StateReport
from tests.support.packing_line import RARE_OEE, PackingLine, plant_file, seconds

RUNNING: Final = StateReport(state="running")

FAULT: Final = StateReport(state="fault", fault_codes=["FILM"])

MIA: Final = Actor("mia", ("maintenance",), ("+",), "Mia")

HOUR: Final = 3_600


def running_line(**rules: object) -> PackingLine:
    line = PackingLine(plant_file(None, **{"oee_period_seconds": RARE_OEE, **rules}))
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
    return line


def calls(line: PackingLine) -> list[tuple[float, event_data.Andon]]:
    return [(seconds(event.timestamp), event.data) for event in line.events if isinstance(event.data, event_data.Andon)]


def call_ids(line: PackingLine) -> set[str]:
    return {data.call_id for _, data in calls(line)}


def ladder(line: PackingLine, *, after: float = 0) -> list[tuple[float, int, str | None]]:
    return [
        (seconds(event.timestamp), event.data.level, event.data.cause)
        for event in line.events
        if isinstance(event.data, event_data.Escalation) and seconds(event.timestamp) > after
    ]


def press(line: PackingLine, equipment_id: str | None, andon_type: AndonType, *, at: float) -> None:
    line.report(equipment_id, AndonReport(action="raise", andon_type=andon_type, seq=round(at)), at=at)


def act(line: PackingLine, action: str, call_id: str, *, at: float) -> None:
    body = AndonReport(action=action, call_id=call_id)  # type: ignore[arg-type]
    line.report(None, body, at=at, actor=MIA)
