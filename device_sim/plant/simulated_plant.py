"""The simulated plant: all lines, one clock, one seed. Pure: the same seed and start give the same messages."""

from collections.abc import Iterable

from device_sim.plant.line import SimulatedLine
from device_sim.plant.machine import TICK, SimulatedMachine
from device_sim.plant.orders import Planner
from device_sim.plant_file import PlantSpec
from device_sim.reports import ReportContent, ReportMessage, report_topic
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis


class SimulatedPlant:
    """Advances in ticks of one simulated second; the size of the steps does not change the messages."""

    def __init__(self, spec: PlantSpec, *, seed: int, start: Millis) -> None:
        self.spec = spec
        self.now = start
        self.lines = [SimulatedLine(line, seed, start) for line in spec.lines]
        self._line_of = {device: line for line in self.lines for device in _devices(line)}
        self._planner = Planner(spec.replan_minutes, SeededRandom(seed, "planner"), start)

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(self._line_of)

    def step(self, until: Millis) -> list[ReportMessage]:
        """Advance to `until` and return the messages on the way, in order."""
        messages: list[ReportMessage] = []
        while self.now + TICK <= until:
            self.now += TICK
            for line in self.lines:
                messages += [self._message(device, report) for device, report in line.tick(self.now)]
            messages += self._replan()
        return messages

    def birth_messages(self, device: str) -> list[ReportMessage]:
        """Return a device's messages at a connect: its birth, then its state and counts, or its inputs."""
        return self._messages(device, [("birth", {}), *self._line_of[device].current_reports(device)])

    def death_message(self, device: str) -> ReportMessage:
        return self._message(device, ("death", {}))

    def machine(self, device: str) -> SimulatedMachine | None:
        """Return the machine of a device; None for a station."""
        controller = self._line_of[device].controllers.get(device)
        return None if controller is None else controller.machine

    def made(self, device: str) -> dict[str, int] | None:
        """Return the pieces really made by the machine of a device; None for a station."""
        machine = self.machine(device)
        return None if machine is None else machine.made

    def report_topic(self, device: str, kind: str) -> str:
        line = self._line_of[device].spec
        return report_topic(self.spec.site, line.area, line.id, device, kind)

    def identity(self, device: str) -> str:
        return self.spec.identity(self._line_of[device].spec, device)

    def line_of(self, device: str) -> SimulatedLine:
        return self._line_of[device]

    def _replan(self) -> list[ReportMessage]:
        dropped = self._planner.tick(self.now, [line.orders for line in self.lines])
        if dropped is None:
            return []
        book, reports = dropped
        line = next(line for line in self.lines if line.orders is book)
        return self._messages(line.terminal, reports)

    def _messages(self, device: str, reports: Iterable[ReportContent]) -> list[ReportMessage]:
        return [self._message(device, report) for report in reports]

    def _message(self, device: str, report: ReportContent) -> ReportMessage:
        kind, body = report
        return ReportMessage(self.now, device, kind, self.report_topic(device, kind), body)


def _devices(line: SimulatedLine) -> list[str]:
    return [*line.controllers, *line.crew.stations]
