"""A device that buffers its reports while it is offline, for tests of absences."""

from collections.abc import Callable, Sequence

import msgspec
import pytest

from bridge.domain import event_data, plant
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, ReportBody, StateReport
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file

SILENCE = 70.0

ORDERS = ("in order", "after the standing value", "after a birth")


class BufferingDevice:
    """A device with a clock and a sequence; while it is offline it buffers its reports."""

    def __init__(self, line: PackingLine, name: str = "bagger") -> None:
        self.line, self.name = line, name
        self.boot, self.seq, self.total = 1, 0, 0
        self.buffered: list[ReportBody] | None = None
        self.current_state = "running"

    def report(self, body: ReportBody, at: float) -> None:
        body = msgspec.structs.replace(body, ts=T0 + round(at * 1000))
        if self.buffered is not None:
            self.buffered.append(body)
        else:
            self.send(body, at)

    def send(self, body: ReportBody, at: float) -> None:
        self.seq += 1
        self.line.report(self.name, msgspec.structs.replace(body, boot_id=self.boot, seq=self.seq), at=at)

    def state(self, state: str, at: float) -> None:
        self.current_state = state
        self.report(StateReport(state=state), at)

    def counts(self, made: int, at: float) -> None:
        self.total += made
        self.report(CountsReport(total=self.total), at)

    def disconnect(self, at: float) -> None:
        self.line.report(self.name, DeathReport(), at=at)
        self.buffered = []

    def fall_silent(self, at: float) -> None:
        """Exceed the silence limit at this instant; the last report was as long before."""
        self.line.wait(at)
        self.buffered = []

    def reconnect(self, at: float, *, order: str = "in order", lost: Sequence[int] = ()) -> None:
        """Send the buffered reports, without those of the indexes in `lost`."""
        buffered, self.buffered = self.buffered or [], None
        if order == "after a birth":
            self.report(BirthReport(), at)
        if order == "after the standing value":
            self.report(StateReport(state=self.current_state), at)
        for index, body in enumerate(buffered):
            if index in lost:
                self.seq += 1
            else:
                self.send(body, at + 0.01 * (index + 1))
        self.report(StateReport(state=self.current_state), at + 0.9)


LOSSES: dict[str, Callable[[BufferingDevice, float], None]] = {
    "death": BufferingDevice.disconnect,
    "silence": BufferingDevice.fall_silent,
}

each_loss = pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))

each_order = pytest.mark.parametrize("order", ORDERS)


def line_of(clock: str = "device", *, heartbeat: float | None = None) -> PackingLine:
    return PackingLine(plant_file(line_spec(equipment=equipment(clock=clock, heartbeat_seconds=heartbeat))))


def running(
    clock: str = "device", lose: Callable[[BufferingDevice, float], None] = BufferingDevice.disconnect
) -> tuple[PackingLine, BufferingDevice]:
    """Return a line whose constraint is the bagger, which last reported at 230 s."""
    line = line_of(clock, heartbeat=SILENCE if lose is BufferingDevice.fall_silent else None)
    bagger = BufferingDevice(line)
    bagger.counts(0, 0)
    report_every_minute(bagger, 0, 180)
    bagger.state("running", 230)
    return line, bagger


def report_every_minute(machine: BufferingDevice, since: float, until: float) -> None:
    """Report the current state once a minute."""
    at = since
    while at <= until:
        machine.state(machine.current_state, at)
        at += 60


def downtimes_of(line: PackingLine) -> list[tuple[str, int | float | None]]:
    """Return the state and length of each downtime as last reported."""
    return [(downtime.status, downtime.duration_seconds) for downtime in last_of(line)]


def last_of(line: PackingLine) -> list[event_data.Downtime]:
    """Return each downtime as last reported."""
    return list({downtime.downtime_id: downtime for downtime in line.downtimes()}.values())


def two_that_decide() -> tuple[PackingLine, BufferingDevice, BufferingDevice]:
    machines = (
        plant.EquipmentConfig(id="bagger", clock="device", ideal_cycle_seconds=1.0),
        plant.EquipmentConfig(id="packer", clock="device"),
        plant.EquipmentConfig(id="wrapper"),
    )
    line = PackingLine(plant_file(line_spec(equipment=machines, constraint=None, critical=("bagger", "packer"))))
    bagger, packer = BufferingDevice(line, "bagger"), BufferingDevice(line, "packer")
    for machine in (bagger, packer):
        machine.state("running", 0)
    line.report("wrapper", StateReport(state="running"), at=0)
    return line, bagger, packer
