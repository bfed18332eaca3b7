"""A device that buffers its reports while it is offline, for tests of absences."""

from collections.abc import Callable, Sequence

import msgspec
import pytest

from bridge.domain import event_data, plant
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, ReportBody, StateReport
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file

SILENCE = 70.0

ORDERS = ("in order", "after the standing value", "after a birth")


class Machine:
    """A device with a clock and a sequence; while it is offline it buffers its reports."""

    def __init__(self, line: PackingLine, name: str = "bagger") -> None:
        self.line, self.name = line, name
        self.boot, self.seq, self.total = 1, 0, 0
        self.kept: list[ReportBody] | None = None
        self.word = "running"

    def report(self, body: ReportBody, at: float) -> None:
        body = msgspec.structs.replace(body, ts=T0 + round(at * 1000))
        if self.kept is not None:
            self.kept.append(body)
        else:
            self.send(body, at)

    def send(self, body: ReportBody, at: float) -> None:
        self.seq += 1
        self.line.report(self.name, msgspec.structs.replace(body, boot_id=self.boot, seq=self.seq), at=at)

    def state(self, state: str, at: float) -> None:
        self.word = state
        self.report(StateReport(state=state), at)

    def counts(self, made: int, at: float) -> None:
        self.total += made
        self.report(CountsReport(total=self.total), at)

    def disconnect(self, at: float) -> None:
        self.line.report(self.name, DeathReport(), at=at)
        self.kept = []

    def fall_silent(self, at: float) -> None:
        """Exceed the silence limit at this instant; the last report was as long before."""
        self.line.wait(at)
        self.kept = []

    def reconnect(self, at: float, *, order: str = "in order", lost: Sequence[int] = ()) -> None:
        """What it kept arrives, without the reports of these numbers."""
        kept, self.kept = self.kept or [], None
        if order == "after a birth":
            self.report(BirthReport(), at)
        if order == "after the standing value":
            self.report(StateReport(state=self.word), at)
        for index, body in enumerate(kept):
            if index in lost:
                self.seq += 1
            else:
                self.send(body, at + 0.01 * (index + 1))
        self.report(StateReport(state=self.word), at + 0.9)


LOSSES: dict[str, Callable[[Machine, float], None]] = {"death": Machine.disconnect, "silence": Machine.fall_silent}

each_loss = pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))

each_order = pytest.mark.parametrize("order", ORDERS)


def line_of(clock: str = "device", *, heartbeat: float | None = None) -> PackingLine:
    return PackingLine(plant_file(line_spec(equipment=equipment(clock=clock, heartbeat_seconds=heartbeat))))


def running(
    clock: str = "device", lose: Callable[[Machine, float], None] = Machine.disconnect
) -> tuple[PackingLine, Machine]:
    """Return a line whose constraint is the bagger, which last reported at 230 s."""
    line = line_of(clock, heartbeat=SILENCE if lose is Machine.fall_silent else None)
    bagger = Machine(line)
    bagger.counts(0, 0)
    report_every_minute(bagger, 0, 180)
    bagger.state("running", 230)
    return line, bagger


def report_every_minute(machine: Machine, since: float, until: float) -> None:
    """Report the current state once a minute."""
    at = since
    while at <= until:
        machine.state(machine.word, at)
        at += 60


def downtimes_of(line: PackingLine) -> list[tuple[str, int | float | None]]:
    """Return the state and length of each downtime as last reported."""
    return [(downtime.status, downtime.duration_seconds) for downtime in last_of(line)]


def last_of(line: PackingLine) -> list[event_data.Downtime]:
    """Return each downtime as last reported."""
    return list({downtime.downtime_id: downtime for downtime in line.downtimes()}.values())


def two_that_decide() -> tuple[PackingLine, Machine, Machine]:
    machines = (
        plant.EquipmentConfig(id="bagger", clock="device", ideal_cycle_seconds=1.0),
        plant.EquipmentConfig(id="packer", clock="device"),
        plant.EquipmentConfig(id="wrapper"),
    )
    line = PackingLine(plant_file(line_spec(equipment=machines, constraint=None, critical=("bagger", "packer"))))
    bagger, packer = Machine(line, "bagger"), Machine(line, "packer")
    for each in (bagger, packer):
        each.state("running", 0)
    line.report("wrapper", StateReport(state="running"), at=0)
    return line, bagger, packer
