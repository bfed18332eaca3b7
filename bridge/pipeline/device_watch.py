"""Devices that are alive and without effect, for the log and the metrics."""

from collections import Counter
from collections.abc import Mapping

import structlog

from bridge.core.events import Place
from bridge.core.intake import Intake

log = structlog.get_logger(__name__)


class DeviceWatch:
    """Looks at every line at each call, so it is to be asked seldom."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._logged: Mapping[Place, str] = {}

    def look(self) -> None:
        """Log the devices that have become ineffective, and those that have an effect again."""
        found = self._intake.floor.ineffective()
        for place in found.keys() - self._logged.keys():
            log.warning("pipeline.device_ineffective", place=_name(place), reason=found[place])
        for place in self._logged.keys() - found.keys():
            log.warning("pipeline.device_effective", place=_name(place))
        self._logged = found

    def by_line(self) -> Mapping[str, int]:
        """Return how many devices of each line are alive and without effect."""
        floor = self._intake.floor
        return {line: 0 for _, _, line in floor.places()} | Counter(place.line for place in floor.ineffective())


def _name(place: Place) -> str:
    return "/".join(place.levels())
