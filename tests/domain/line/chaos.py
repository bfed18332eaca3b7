"""Random reports to a line, for property tests."""

import random
from collections.abc import Callable

import msgspec

from bridge.domain.events import Event
from bridge.domain.line.line import Line
from bridge.domain.place import Place
from bridge.domain.reports import (
    Actor,
    AndonReport,
    BirthReport,
    ChangeoverReport,
    CountsReport,
    DeathReport,
    DowntimeReport,
    InspectionReport,
    JobReport,
    MeasurementReport,
    PackmlState,
    QualityReport,
    Report,
    ReportBody,
    StateReport,
)
from bridge.domain.utc_time import Millis
from tests.support.packing_line import LEADER, T0, equipment, line_spec, plant_file

WORDS = ("running", "running", "running", "stopped", "idle", "fault", "maintenance", "setup", "dancing")

PRODUCTS = ("crisps", "nuts", "unheard-of")


class Chaos:
    """A seeded source of reports: plausible, contradictory, late and repeated ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.at = T0 + self.random.choice((0, 3 * 3_600_000, 11 * 3_600_000 + 3_500_000))
        self.total = dict.fromkeys(("feeder", "bagger", "packer"), 0)
        self.seq = 0
        self.boot = 0
        self.sent: list[tuple[str | None, ReportBody]] = []

    def reports(self, count: int) -> list[Report]:
        return [self.report(number) for number in range(count)]

    def report(self, number: int) -> Report:
        rnd = self.random
        self.at += rnd.choice((0, 1, 40, 900, 3_000, 9_000, 61_000, 61_000, 900_000))
        equipment_id = rnd.choice(("feeder", "bagger", "bagger", "bagger", "packer", "desk", None, "stranger"))
        body = self.kind()(equipment_id or "bagger")
        actor: Actor | None = None
        if isinstance(body, DowntimeReport | JobReport | QualityReport) and rnd.random() < 0.6:
            actor = LEADER
        body = msgspec.structs.replace(body, **self.common())
        if self.sent and rnd.random() < 0.15:
            equipment_id, body = rnd.choice(self.sent[-30:])
        self.sent.append((equipment_id, body))
        return Report(
            place=Place("north", "pack", "L1", equipment_id),
            body=body,
            received_at=self.at,
            cause=f"input:{number}",
            retained=rnd.random() < 0.08,
            redelivered=rnd.random() < 0.1,
            actor=actor,
        )

    def common(self) -> dict[str, object]:
        rnd = self.random
        fields: dict[str, object] = {}
        if rnd.random() < 0.3:
            if rnd.random() < 0.1:
                self.boot = rnd.choice((self.boot + 1, self.boot + 1, max(self.boot - 1, 0)))
            self.seq += rnd.choice((1, 1, 1, 1, 3, 0, -2, 100))
            fields = {"boot_id": f"boot{self.boot}", "seq": max(self.seq, 0)}
        if rnd.random() < 0.4:
            fields["ts"] = self.at + rnd.choice((0, -300, -40_000, 2_000, 4_900, 9_000))
        if rnd.random() < 0.05:
            fields["source_quality"] = "bad"
        return fields

    def kind(self) -> Callable[[str], ReportBody]:
        return self.random.choice((self.state, self.state, self.counts, self.counts, self.action))

    def state(self, equipment_id: str) -> ReportBody:
        rnd = self.random
        del equipment_id
        return StateReport(
            state=rnd.choice(WORDS),
            packml=PackmlState("tr88", rnd.randrange(19), rnd.randrange(5)) if rnd.random() < 0.2 else None,
            speed=rnd.choice((None, 0.0, 1.0, 50.0, 99.5)),
            planned_stop=rnd.random() < 0.1,
            upstream_stop=rnd.random() < 0.2,
            fault_bits=rnd.choice((None, None, "0", "21", "20000080", [0], [200])),
            reason_code=rnd.choice((None, None, "MECH", "X")),
            product=rnd.choice((None, *PRODUCTS)),
        )

    def counts(self, equipment_id: str) -> ReportBody:
        rnd = self.random
        total = self.total.get(equipment_id, 0) + rnd.choice((0, 1, 7, 60, -3, 9_000))
        self.total[equipment_id] = total = total if total > 0 and rnd.random() > 0.03 else 0
        return CountsReport(total=total, good=rnd.choice((None, total - total // 50)))

    def action(self, equipment_id: str) -> ReportBody:
        rnd = self.random
        del equipment_id
        job, call, down = f"J{rnd.randrange(4)}", f"L1.call.{rnd.randrange(9)}", f"L1.down.{rnd.randrange(9)}"
        actions: tuple[ReportBody, ...] = (
            AndonReport(andon_type=rnd.choice(("safety", "material")), action="raise"),
            AndonReport(andon_type="quality", input=rnd.random() < 0.5),
            AndonReport(action=rnd.choice(("acknowledge", "resolve", "cancel", "escalate")), call_id=call),
            JobReport(action="assign", job_id=job, product=rnd.choice(PRODUCTS), target_quantity=50),
            JobReport(action=rnd.choice(("accept", "start", "start", "pause", "complete", "cancel")), job_id=job),
            ChangeoverReport(action=rnd.choice(("start", "complete")), to_product=rnd.choice(PRODUCTS)),
            DowntimeReport(action="classify", downtime_id=down, reason_code=rnd.choice(("MECH", "CLEAN", "?"))),
            DowntimeReport(action="confirm", downtime_id=down),
            MeasurementReport(parameter="weight", value=rnd.gauss(100, 5), unit="g"),
            InspectionReport(inspected=10, defects=rnd.randrange(3)),
            QualityReport(action="clear", alert_id=f"L1.alert.{rnd.randrange(3)}"),
            BirthReport(),
            DeathReport(),
        )
        return rnd.choice(actions)


LIMIT = {"parameter": "weight", "unit": "g", "lower": 95.0, "upper": 105.0, "hysteresis": 1.0}

TRUSTED = equipment(clock="device", heartbeat_seconds=900.0)

PLANTS = (
    plant_file(line_spec(limits=[LIMIT])),
    plant_file(
        line_spec(constraint=None, equipment=equipment(heartbeat_seconds=600.0)),
        report_minor_stops=True,
        restart_seconds=0.0,
        complete_at_target=True,
    ),
    plant_file(line_spec(constraint=None, critical=("bagger", "packer"), equipment=TRUSTED)),
    plant_file(line_spec(equipment=equipment(clock="corrected", heartbeat_seconds=600.0))),
)


class BufferingChaos(Chaos):
    """Machines that disconnect repeatedly and send their buffers later, with some reports missing."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.numbers = dict.fromkeys(("bagger", "packer", "feeder"), 0)
        self.away: dict[str, int] = {}
        self.queue: list[tuple[str, ReportBody]] = []

    def report(self, number: int) -> Report:
        rnd = self.random
        if self.queue and rnd.random() < 0.9:
            self.at += rnd.choice((0, 1, 40))
            equipment_id, body = self.queue.pop(0)
        else:
            self.at += rnd.choice((0, 1, 900, 3_000, 9_000, 61_000, 61_000, 900_000))
            equipment_id = rnd.choice(tuple(self.numbers))
            body = self.turn(equipment_id)
        if not isinstance(body, DeathReport):
            self.numbers[equipment_id] += rnd.choice((1, 1, 1, 1, 1, 1, 1, 2))
            boot = 2 if rnd.random() < 0.02 else 1
            body = msgspec.structs.replace(body, boot_id=boot, seq=self.numbers[equipment_id], ts=body.ts or self.at)
        return Report(
            place=Place("north", "pack", "L1", equipment_id), body=body, received_at=self.at, cause=f"input:{number}"
        )

    def turn(self, equipment_id: str) -> ReportBody:
        rnd, since = self.random, self.away.pop(equipment_id, None)
        if since is not None:
            span = max(self.at - since, 1)
            dated = sorted(since + rnd.randrange(span) for _ in range(rnd.randrange(6)))
            repeats = [(equipment_id, msgspec.structs.replace(self.kind()(equipment_id), ts=at)) for at in dated]
            self.queue += [step for step in repeats if isinstance(step[1], StateReport | CountsReport)]
            return rnd.choice((BirthReport(), self.state(equipment_id), self.counts(equipment_id)))
        if rnd.random() < 0.3:
            self.away[equipment_id] = self.at
            return DeathReport()
        return rnd.choice((self.state, self.state, self.counts))(equipment_id)


def new_line(number: int) -> Line:
    return Line(PLANTS[number], PLANTS[number].lines[0])


def tick_at(line: Line, start: Millis, end: Millis, shares: list[float]) -> list[Event]:
    return [event for share in sorted(shares) for event in line.tick(start + round((end - start) * share))]


def play(
    line: Line, reports: list[Report], ticks: list[float], *, before: Millis | None = None, always_watched: bool = False
) -> list[Event]:
    """Apply the reports, ticking at the given shares of the time between them.

    The bridge is absent before some of them, without ticks; the link is lost before others.
    """
    events: list[Event] = []
    for report in reports:
        number = int(report.cause.removeprefix("input:"))
        away = 0 if before is None or always_watched else report.received_at - before
        lost = number % 5 == 0 and away >= 9_000
        unobserved = lost and number % 10 == 0
        if before is not None and not unobserved:
            events += tick_at(line, before, report.received_at, ticks)
        if lost:
            since = before if unobserved and before is not None else report.received_at
            events += line.apply_absence(since, report.received_at, cause=f"away:{number}")
        events += line.apply(report, report.received_at).events
        before = report.received_at
    return events
