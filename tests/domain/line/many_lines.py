"""A plant of many small lines in two areas, for tests of what their automatic calls have in common."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.domain import plant
from bridge.domain.escalation_policy import FloodRule
from bridge.domain.event_data import Andon, Escalation
from bridge.domain.events import Event
from bridge.domain.line.floor import Floor
from bridge.domain.place import Place
from bridge.domain.reports import Actor, AndonReport, Report, ReportBody, StateReport
from bridge.domain.utc_time import Millis
from tests.support.packing_line import T0

LINES: Final = 16
AREAS: Final = ("pack", "bake")
FIRE: Final = plant.DowntimeReason(code="FIRE", text="Fire", call_after_minutes=5, priority="critical")
MIA: Final = Actor("mia", ("maintenance",), ("+",), "Mia")

RUNNING: Final = StateReport(state="running")
FAULT: Final = StateReport(state="fault", fault_codes=["FILM"])
ON_FIRE: Final = StateReport(state="fault", reason_code="FIRE")


def line_of(number: int, area: str) -> plant.LineConfig:
    machine = plant.EquipmentConfig(id="m", clock="device")
    return plant.LineConfig(
        id=f"{area}-{number}", area=area, equipment=(machine, plant.EquipmentConfig(id="desk", kind="station"))
    )


def plant_of(*areas: str, lines: int = LINES, flood: FloodRule | None = None) -> plant.Plant:
    return plant.Plant(
        name="many lines",
        areas=tuple(plant.AreaConfig(id=area, site="north") for area in areas),
        lines=tuple(line_of(number, area) for area in areas for number in range(1, lines + 1)),
        rules=plant.Rules(oee_period_seconds=3_600),  # many lines for hours: their OEE is not what is looked at
        reasons=(*plant.DEFAULT_REASONS, FIRE),
        flood=flood or FloodRule(),
    )


class RaisedCall(NamedTuple):
    """An automatic call that calls people, for the first time or again."""

    at: float
    line: str
    summary: bool
    repeat: int


class ManyLines:
    """Reports by seconds since T0, as (second, line, body)."""

    def __init__(self, plant_file: plant.Plant) -> None:
        self.plant = plant_file
        self.floor = Floor(plant_file)
        self.events: list[Event] = []
        for spec in plant_file.lines:
            self.report(0, spec.id, RUNNING)

    def report(self, second: float, line: str, body: ReportBody, *, actor: Actor | None = None) -> None:
        equipment = "m" if isinstance(body, StateReport) else None
        at = T0 + round(second * 1000)
        report = Report(
            place=Place("north", line.split("-", maxsplit=1)[0], line, equipment),
            body=body,
            received_at=at,
            cause="input:1",
            actor=actor,
        )
        self.events += self.floor.apply(report, at).events

    def wait(self, second: float) -> None:
        for _, events in self.floor.tick(T0 + round(second * 1000)):
            self.events += events

    def restart(self) -> None:
        checkpoints = {spec.id: self.floor.checkpoint(spec.id) for spec in self.plant.lines}
        self.floor = Floor.restore(self.plant, checkpoints)

    def resolve(self, second: float, call: Andon) -> None:
        line = call.call_id.split(".")[0]
        self.report(second, line, AndonReport(action="resolve", call_id=call.call_id), actor=MIA)

    def calls(self) -> list[tuple[float, Andon]]:
        return [(seconds_of(event.timestamp), event.data) for event in self.events if isinstance(event.data, Andon)]

    def summaries(self) -> list[tuple[float, Andon]]:
        return [(at, data) for at, data in self.calls() if is_summary(data)]

    def raised(self, area: str = "pack") -> list[RaisedCall]:
        return list(raised_in(self.events, area))


def is_summary(call: Andon) -> bool:
    return call.auto_generated and call.downtime_id is None


def raised_in(events: Iterable[Event], area: str) -> Iterable[RaisedCall]:
    """Yield the instants at which an automatic, non-critical call went out: its ladder was at its beginning."""
    calls = {event.data.call_id: event.data for event in events if isinstance(event.data, Andon)}
    for event in events:
        data = event.data
        if not isinstance(data, Escalation) or event.place.area != area or data.cause is not None or data.level:
            continue
        call = calls[data.call_id]
        if call.auto_generated and call.priority != "critical" and data.status == "active" and not data.paused:
            yield RaisedCall(seconds_of(event.timestamp), event.place.line, is_summary(call), call.repeat)


def seconds_of(at: Millis) -> float:
    return (at - T0) / 1000
