"""A bagger whose reports wait in the broker while the bridge is absent."""

from dataclasses import dataclass, field

import msgspec

from bridge.domain.reports import CountsReport, ReportBody, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.support.packing_line import RARE_OEE, T0, PackingLine, equipment, line_spec, plant_file


def line_of(clock: str = "device", **rules: object) -> PackingLine:
    spec = line_spec(equipment=equipment(clock=clock), ideal_cycle_seconds=2.0)
    return PackingLine(plant_file(spec, **{"oee_period_seconds": RARE_OEE, **rules}))


@dataclass
class BufferedBagger:
    """A device with a clock and a sequence; its reports wait in the broker while the bridge is absent."""

    line: PackingLine
    boot: int = 1
    seq: int = 0
    total: int = 0
    absence: tuple[float, float] | None = None
    waiting: list[ReportBody] = field(default_factory=list)

    def report(self, body: ReportBody, at: float) -> None:
        self.seq += 1
        dated = T0 + round(at * 1000)
        body = msgspec.structs.replace(body, ts=dated, boot_id=self.boot, seq=self.seq)
        if self.absence is not None and at >= self.absence[0]:
            self.waiting.append(body)
        else:
            self.line.report("bagger", body, at=at)

    def state(self, state: str, at: float) -> None:
        self.report(StateReport(state=state), at)

    def counts(self, made: int, at: float) -> None:
        self.total += made
        self.report(CountsReport(total=self.total), at)

    def lose(self, *numbers: int) -> None:
        """Lose these of the waiting reports."""
        self.waiting = [body for index, body in enumerate(self.waiting) if index not in numbers]

    def reconnect(self) -> None:
        """End the absence: the broker sends the waiting reports."""
        assert self.absence is not None
        since, until = self.absence
        absent(self.line, since, until)
        for index, body in enumerate(self.waiting):
            self.line.report("bagger", body, at=until + 0.01 * (index + 1))
        self.absence, self.waiting = None, []


def store(bagger: BufferedBagger, absence: tuple[float, float], *reported: tuple[float, str]) -> list[ReportBody]:
    """Return the reports made in an absence of the bridge that arrive later than those made after it."""
    bagger.absence = absence
    for at, state in reported:
        bagger.state(state, at)
    stored, bagger.waiting = bagger.waiting, []
    bagger.reconnect()
    return stored


def send(bagger: BufferedBagger, stored: list[ReportBody], at: float) -> None:
    for index, body in enumerate(stored):
        bagger.line.report("bagger", replace_seq(body, bagger.seq + index), at=at + index * 0.01)
    bagger.seq += len(stored)


def replace_seq(body: ReportBody, seq: int) -> ReportBody:
    assert isinstance(body, StateReport)
    return StateReport(state=body.state, ts=body.ts, boot_id=body.boot_id, seq=seq + 1)
