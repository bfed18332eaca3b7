"""Counter samples of a line, and the data quality of its windows."""

from typing import Any

from bridge.domain.events import DataQuality, EventType
from bridge.domain.reports import CountsReport, StateReport
from tests.support.packing_line import PackingLine, equipment, line_spec, plant_file

RUNNING = StateReport(state="running")


def line_of(*, bagger: dict[str, Any] | None = None, **changes: Any) -> PackingLine:
    return PackingLine(plant_file(line_spec(equipment=equipment(**(bagger or {})), **changes)))


def feed(line: PackingLine, equipment_id: str, *samples: tuple[int, float], boot: int | None = None) -> None:
    for total, at in samples:
        line.report(equipment_id, CountsReport(total=total, boot_id=boot), at=at)


def qualities(line: PackingLine, equipment_id: str | None = None) -> list[DataQuality]:
    return [event.quality for event in line.of(EventType.PRODUCTION_UPDATE, equipment_id)]


def doubts(line: PackingLine, equipment_id: str | None = None) -> list[tuple[int | None, int | None, int | None]]:
    windows = qualities(line, equipment_id)
    return [(window.pieces_held, window.pieces_released, window.pieces_refused) for window in windows]
