"""One line's quality checks for tests."""

from typing import Final

from msgspec.structs import replace

from bridge.domain.emitter import Emitter, Subjects
from bridge.domain.event_data import Quality
from bridge.domain.events import Event
from bridge.domain.line.quality.alerts import QualityChecks, QualityState
from bridge.domain.reports import (
    Actor,
    Disposition,
    InspectionReport,
    MeasurementReport,
    Moment,
    QualityReport,
)
from bridge.domain.utc_time import Millis
from tests.support.one_line_plant import from_checkpoint, one_line_plant

START: Final[Millis] = 1_750_000_000_000

INSPECTOR: Final = Actor("ines", ("quality",), ("+",), "Ines")

PLANT: Final = one_line_plant(
    {"id": "BAG1"},
    {"id": "BAG2"},
    limits=(
        {"parameter": "weight", "unit": "g", "lower": 490, "upper": 510, "hysteresis": 2},
        {"parameter": "weight", "equipment": "BAG2", "unit": "g", "upper": 600, "severity": "critical"},
    ),
)


class QualityLine:
    def __init__(self) -> None:
        self.state = QualityState()
        self.subjects = Subjects()
        self.restore()

    def restore(self) -> None:
        self.state = from_checkpoint(self.state)
        line = PLANT.lines[0]
        place = PLANT.place_of(line)
        self.emitter = Emitter(place, self.subjects)
        self.checks = QualityChecks(self.state, place=place, spec=line, emitter=self.emitter)

    def measure(
        self, value: float, *, equipment: str | None = "BAG1", parameter: str = "weight", unit: str = "g"
    ) -> Disposition:
        body = MeasurementReport(parameter=parameter, value=value, unit=unit)
        return self.checks.apply(body, equipment=equipment, moment=Moment(at=START))

    def inspect(
        self, inspected: int, defects: int, *, parameter: str | None = None, equipment: str = "BAG1"
    ) -> Disposition:
        body = InspectionReport(inspected=inspected, defects=defects, parameter=parameter)
        return self.checks.apply(body, equipment=equipment, moment=Moment(at=START))

    def clear(self, alert_id: str, *, granted_at: tuple[str, ...] = ("+",)) -> Disposition:
        body = QualityReport(action="clear", alert_id=alert_id)
        actor = replace(INSPECTOR, granted_at=granted_at)
        return self.checks.apply(body, equipment=None, moment=Moment(at=START, actor=actor))

    def events(self) -> tuple[Event, ...]:
        return self.emitter.drain()

    def new_alerts(self) -> list[tuple[str, str, float]]:
        """Return number, status and value of each alert reported."""
        data = [event.data for event in self.events()]
        return [(alert.alert_id, alert.status, alert.value) for alert in data if isinstance(alert, Quality)]
