"""All devices of one line: each machine and station, and the source that reports for the line itself."""

from collections.abc import Mapping

from bridge.domain.line.device.device import Device
from bridge.domain.line.device.state import SequenceGaps
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import Report


class Devices:
    """Lookup of a report's device, and queries over all devices."""

    def __init__(self, line_source: Device, machines: Mapping[str, Device]) -> None:
        """Hold all devices; `line_source` reports for the line itself."""
        self.line_source = line_source
        self._machines = machines

    def find(self, equipment: str | None) -> Device | None:
        return self.line_source if equipment is None else self._machines.get(equipment)

    def gaps(self) -> SequenceGaps:
        """Return how many reports of all devices were ever missing, filled in late, or unplaced."""
        all_gaps = self.gaps_by_device().values()
        return SequenceGaps(
            sum(gaps.missed for gaps in all_gaps),
            sum(gaps.filled for gaps in all_gaps),
            sum(gaps.unplaced for gaps in all_gaps),
        )

    def gaps_by_device(self) -> dict[str, SequenceGaps]:
        """Return the same for each equipment (`_`: the line itself) that ever had a missing or unplaced report."""
        states = {name: device.state for name, device in self._all().items()}
        return {
            name: SequenceGaps(state.missed, state.filled, state.unplaced)
            for name, state in states.items()
            if state.missed or state.filled or state.unplaced
        }

    def is_proven_repeat(self, report: Report) -> bool:
        """Return whether its `ts` proves that a report of known content is the one received before."""
        device = self.find(report.place.equipment)
        return device is not None and device.is_proven_repeat(report)

    def ineffective_devices(self) -> dict[str, str]:
        """Return the latest reason by ineffective equipment (`_`: the line itself)."""
        runs = {name: device.state.ineffective_run for name, device in self._all().items()}
        return {name: run.reason for name, run in runs.items() if run is not None and run.emitted}

    def _all(self) -> dict[str, Device]:
        return {LINE_LEVEL: self.line_source, **self._machines}
