"""Monitoring of devices for log and metrics: those alive without effect, those with missing or unplaced reports."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import structlog

from bridge.domain.intake import Intake
from bridge.domain.line.device.state import SequenceGaps
from bridge.domain.place import Place

NO_GAPS: Final = SequenceGaps(0, 0)
MAX_LOGGED_DEVICES: Final = 20  # logged per call: bounds what a broker that drops for a whole plant writes into the log

log = structlog.get_logger(__name__)


class DeviceMonitor:
    """Watches all devices. Each call visits every line, so call it seldom."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._logged: Mapping[Place, str] = {}
        self._gaps = intake.floor.gaps_by_device()

    def log_changes(self) -> None:
        """Log what has changed since the last call."""
        self._log_effect_changes()
        self._log_new_gaps()

    def _log_effect_changes(self) -> None:
        ineffective = self._intake.floor.ineffective_devices()
        for place in ineffective.keys() - self._logged.keys():
            log.warning("pipeline.device_ineffective", place=_name(place), reason=ineffective[place])
        for place in self._logged.keys() - ineffective.keys():
            log.info("pipeline.device_effective", place=_name(place))
        self._logged = ineffective

    def _log_new_gaps(self) -> None:
        before, self._gaps = self._gaps, self._intake.floor.gaps_by_device()
        rises = {place: _rise(before.get(place, NO_GAPS), gaps) for place, gaps in self._gaps.items()}
        risen = [(place, rise) for place, rise in rises.items() if any(rise)]
        for place, (missing, unplaced) in risen[:MAX_LOGGED_DEVICES]:
            if missing:
                log.warning("pipeline.reports_missing", place=_name(place), reports=missing)
            if unplaced:
                log.warning("pipeline.reports_unplaced", place=_name(place), reports=unplaced)
        if len(risen) > MAX_LOGGED_DEVICES:
            log.warning("pipeline.more_devices_with_gaps", devices=len(risen) - MAX_LOGGED_DEVICES)

    def ineffective_by_line(self) -> Mapping[str, int]:
        """Return by line how many devices are alive but without effect."""
        floor = self._intake.floor
        return {line: 0 for _, _, line in floor.line_places()} | Counter(
            place.line for place in floor.ineffective_devices()
        )


def _rise(before: SequenceGaps, now: SequenceGaps) -> tuple[int, int]:
    """Return by how much missing and unplaced reports have risen; a report that came late is not missing."""
    missing = (now.missed - now.filled) - (before.missed - before.filled)
    return max(missing, 0), now.unplaced - before.unplaced


def _name(place: Place) -> str:
    return "/".join(place.levels())
