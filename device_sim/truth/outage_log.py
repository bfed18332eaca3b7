"""A log of device outages for the truth, with at most one open outage per device."""

from device_sim.scheduler import Scheduler
from device_sim.truth.truth import DeviceOutage, OutageCause, Truth


class OutageLog:
    """Records when each device was without power or connection, in simulated time."""

    def __init__(self, truth: Truth, scheduler: Scheduler) -> None:
        self._truth = truth
        self._scheduler = scheduler
        self._open: dict[str, DeviceOutage] = {}

    def begin(self, device: str, why: OutageCause) -> None:
        """Record the start of an outage; one that is already open keeps its cause."""
        if device not in self._open:
            outage = self._open[device] = DeviceOutage(device, self._scheduler.now, None, why)
            self._truth.absences.append(outage)

    def end(self, device: str) -> None:
        """Record the end of the open outage, if there is one."""
        outage = self._open.pop(device, None)
        if outage is not None:
            outage.until = self._scheduler.now
