"""A stopped line, played step by step, and the calls that it raises automatically."""

from typing import Final

from bridge.domain import event_data
from bridge.domain.reports import AndonReport, ReportBody, StateReport
from tests.support.packing_line import RARE_OEE, PackingLine, plant_file, seconds

RUNNING: Final = StateReport(state="running")
FAULT: Final = StateReport(state="fault", fault_codes=["JAM"])
MAINTENANCE: Final = StateReport(state="maintenance")
STARVED: Final = StateReport(state="idle", upstream_stop=True)
BLOCKED: Final = StateReport(state="idle", downstream_stop=True)
STOPPED: Final = StateReport(state="stopped")
PRESS: Final = AndonReport(action="raise", andon_type="equipment")
CANCEL: Final = AndonReport(action="cancel", andon_type="equipment")
RESOLVE: Final = AndonReport(action="resolve", andon_type="equipment")
HOUR: Final = 3_600

StopStep = tuple[float, str | None, ReportBody]

FEEDER_CALLED: Final[list[StopStep]] = [(10, "feeder", FAULT), (11, "bagger", STARVED)]
BAGGER_CALLED: Final[list[StopStep]] = [(11, "bagger", FAULT)]


def play(*steps: StopStep, until: float, restarts: bool = False, tick_every: int | None = None) -> PackingLine:
    """Let the bagger run, which decides the line's status, and its neighbours with it; then the steps."""
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
    previous = 0.0
    for at, equipment_id, body in steps:
        for tick_at in range(round(previous), round(at), tick_every or round(at) + 1):
            line.wait(tick_at)
        previous = at
        line.wait(at)
        line.report(equipment_id, body, at=at)
        if restarts:
            line.restart()
    line.wait(until)
    return line


def raised(line: PackingLine) -> list[tuple[float, str | None, str]]:
    return [
        (seconds(event.timestamp), event.place.equipment, event.data.andon_type)
        for event in line.events
        if isinstance(event.data, event_data.Andon) and event.revision == 1
    ]


def called(line: PackingLine) -> list[tuple[float, str | None]]:
    return [(at, machine) for at, machine, _ in raised(line)]


def causes(line: PackingLine) -> set[tuple[str, str, str | None]]:
    """Return each downtime with its cause and culprit as they were reported last."""
    last = {data.downtime_id: data for data in line.downtimes()}
    return {(data.downtime_id, data.cause, data.cause_equipment) for data in last.values()}
