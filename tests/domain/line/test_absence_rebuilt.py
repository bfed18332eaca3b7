"""With trusted clocks an absence is history: what the broker kept gives the same windows and downtimes as watching."""

import random
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import event_data, plant
from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, ReportBody, StateReport
from tests.domain.line.oracles import oee as oracle
from tests.domain.line.test_absence import absent
from tests.domain.line.test_oee_base import closed
from tests.domain.line.test_oee_oracle import SCHEDULED, last_windows, millis
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file

MINUTE = 60


def line_of(clock: str = "device", **rules: object) -> PackingLine:
    spec = line_spec(equipment=equipment(clock=clock), ideal_cycle_seconds=2.0)
    return PackingLine(plant_file(spec, **rules))


@dataclass
class Bagger:
    """A device with a clock and a sequence, whose reports wait in the broker while nobody watches."""

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

    def state(self, word: str, at: float) -> None:
        self.report(StateReport(state=word), at)

    def counts(self, made: int, at: float) -> None:
        self.total += made
        self.report(CountsReport(total=self.total), at)

    def lose(self, *numbers: int) -> None:
        """The broker loses these of what waits."""
        self.waiting = [body for index, body in enumerate(self.waiting) if index not in numbers]

    def reconnect(self) -> None:
        """The bridge is back, and the broker sends what waits."""
        assert self.absence is not None
        since, until = self.absence
        absent(self.line, since, until)
        for index, body in enumerate(self.waiting):
            self.line.report("bagger", body, at=until + 0.01 * (index + 1))
        self.absence, self.waiting = None, []


def test_a_stop_that_the_broker_kept_is_the_downtime_it_was() -> None:
    """The bridge was away 100 s, of which the machine stood 80 s."""
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.counts(0, 0)
    bagger.absence = (300, 400)
    bagger.state("fault", 305)
    bagger.state("running", 385)
    bagger.reconnect()
    bagger.state("running", 460)
    line.wait(3_600)
    (downtime,) = line.downtimes()
    assert (downtime.status, downtime.duration_seconds, downtime.cause) == ("closed", 80, "internal")
    assert downtime.started_at == "2026-01-05T09:05:05.000Z"
    assert line.of(EventType.DOWNTIME_EVENT)[0].quality.estimated
    (hour,) = closed(line)
    assert (hour.unknown_seconds, hour.planned_busy_seconds, hour.actual_production_seconds) == (0, 3_600, 3_520)
    assert "estimated" in hour.flags
    assert not line.of(EventType.ANDON_EVENT), "what is over calls nobody"


def test_without_a_trusted_clock_the_same_is_unknown() -> None:
    line = line_of(clock="receive")
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 400)
    bagger.state("fault", 305)
    bagger.state("running", 385)
    bagger.reconnect()
    line.wait(3_600)
    assert line.downtimes() == []
    (hour,) = closed(line)
    assert hour.unknown_seconds == pytest.approx(100, abs=0.1)
    assert hour.availability == 1.0
    assert "estimated" in hour.flags


def test_a_stop_that_still_lasts_began_when_it_began() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 600)
    bagger.state("fault", 310)
    bagger.reconnect()
    line.wait(606)
    (downtime,) = line.downtimes()
    assert (downtime.status, downtime.started_at) == ("open", "2026-01-05T09:05:10.000Z")
    line.wait(700)
    assert line.of(EventType.ANDON_EVENT, "bagger"), "it lasts for more than five minutes, and calls"


def test_a_downtime_that_was_open_ends_where_it_ended() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("fault", 0)
    line.wait(100)
    bagger.absence = (200, 500)
    bagger.state("running", 250)
    bagger.state("fault", 290)
    bagger.state("running", 400)
    bagger.reconnect()
    line.wait(600)
    assert [
        (downtime.status, downtime.duration_seconds) for downtime in line.downtimes() if downtime.status != "open"
    ] == [
        ("closed", 250),
        ("closed", 110),
    ]


def test_a_stop_that_began_before_and_was_over_before_the_threshold_is_a_minor_one() -> None:
    line = line_of(report_minor_stops=True)
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.state("stopped", 290)
    bagger.absence = (300, 500)
    bagger.state("running", 320)
    bagger.reconnect()
    line.wait(3_600)
    (minor,) = line.downtimes()
    assert (minor.micro_stop, minor.duration_seconds) == (True, 30)
    assert closed(line)[-1].planned_busy_seconds == closed(line)[-1].actual_production_seconds


def test_what_lies_around_a_missing_report_is_unknown() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 900)
    bagger.state("running", 360)
    bagger.state("fault", 500)
    bagger.state("running", 700)
    bagger.lose(1)
    bagger.reconnect()
    line.wait(3_600)
    assert line.downtimes() == []
    (hour,) = closed(line)
    assert hour.unknown_seconds == 340, "from the report before the missing one to the one after it"


@pytest.mark.parametrize(("every", "unknown"), [(60, 0), (300, 600)])
def test_without_a_sequence_a_machine_is_known_while_it_reports_every_minute(every: int, unknown: int) -> None:
    line = line_of()
    line.report("bagger", StateReport(state="running", ts=T0), at=0)
    line.report("bagger", StateReport(state="running", ts=T0 + 300_000), at=300)
    absent(line, 300, 900)
    for at in range(300 + every, 900, every):
        line.report("bagger", StateReport(state="running", ts=T0 + at * 1000), at=900)
    line.report("bagger", StateReport(state="running", ts=T0 + 900_000), at=900)
    line.wait(3_600)
    assert closed(line)[-1].unknown_seconds == unknown


def test_a_report_that_lacks_nothing_before_it_proves_what_was_said_before_the_absence() -> None:
    """Whatever its clock: a machine that reports only changes need not say its state again to be known."""
    for clock in ("receive", "device"):
        line = line_of(clock=clock)
        bagger = Bagger(line)
        bagger.state("running", 0)
        bagger.absence = (300, 400)
        bagger.counts(0, 399)
        bagger.reconnect()
        assert line.statuses("bagger")[-1].status == "running"
        line.wait(3_600)
        assert closed(line)[-1].unknown_seconds == pytest.approx(100 if clock == "receive" else 0, abs=0.1)


def test_a_report_before_which_one_is_missing_proves_nothing_of_what_was_said_before() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.counts(0, 1)
    absent(line, 300, 400)
    bagger.seq += 1
    bagger.counts(0, 401)
    assert line.statuses("bagger")[-1].status == "offline"


def test_what_was_said_before_a_missing_report_does_not_hold_again_with_the_next_in_order() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("setup", 0)
    bagger.counts(0, 1)
    absent(line, 300, 400)
    bagger.seq += 1
    bagger.counts(0, 401)
    bagger.counts(0, 402)
    assert line.statuses("bagger")[-1].status == "offline"


@pytest.mark.parametrize("word", ["running", "setup"])
def test_a_death_proves_nothing_of_what_was_said_before_the_absence(word: str) -> None:
    """A Will has the number of its connect; pieces of a new start do not show at once that the machine runs."""
    line = line_of()
    bagger = Bagger(line)
    bagger.state(word, 0)
    bagger.counts(0, 1)
    absent(line, 300, 400)
    line.report("bagger", DeathReport(boot_id=bagger.boot, seq=0), at=400.1)
    assert [status.status for status in line.statuses("bagger")] == [word, "offline"]
    bagger.counts(0, 400.1)
    assert line.statuses("bagger")[-1].status == "offline", "nothing is missing before it, but a death came since"
    bagger.boot, bagger.seq = 2, -1
    bagger.report(BirthReport(), 400.1)
    bagger.seq += 20
    bagger.counts(50, 401)
    assert line.statuses("bagger")[-1].status == "offline"
    bagger.counts(10, 411)
    bagger.counts(10, 421)
    assert line.statuses("bagger")[-1].status == "running"


def test_what_was_said_before_two_absences_still_holds_where_nothing_is_missing() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    absent(line, 300, 400)
    absent(line, 410, 500)
    bagger.counts(0, 501)
    assert line.statuses("bagger")[-1].status == "running"


def test_what_comes_after_the_absence_was_gone_through_is_added_by_revision() -> None:
    """A second gateway sends its store an hour later: the hour that has closed is told again, the state stays."""
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 900)
    for at, word in ((310.0, "fault"), (410.0, "running"), (500.0, "running")):
        bagger.state(word, at)
    stored, bagger.waiting = bagger.waiting, []
    bagger.reconnect()
    bagger.state("running", 901)
    line.wait(4_000)
    assert closed(line)[0].unknown_seconds == 601
    for index, body in enumerate(stored):
        line.report("bagger", replace_seq(body, bagger.seq + index), at=4_001 + index * 0.01)
    line.wait(4_100)
    assert line.statuses("bagger")[-1].status == "running"
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [("closed", 100)]
    assert closed(line)[0].unknown_seconds == 601 - 190, "from the first stored report to the last"


def test_late_reports_fill_each_of_the_latest_eight_absences() -> None:
    """A store of all that happened is sent after nine absences; of the oldest nothing can be told any more."""
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    stored: list[ReportBody] = []
    for begin in range(300, 300 + 9 * 900, 900):
        bagger.absence = (begin, begin + 300)
        for at, word in (
            (begin + 10, "running"),
            (begin + 50, "fault"),
            (begin + 150, "running"),
            (begin + 290, "running"),
        ):
            bagger.state(word, at)
        stored, bagger.waiting = [*stored, *bagger.waiting][-8 * 4 :], []
        bagger.reconnect()
        bagger.state("running", begin + 301)
    line.wait(4 * 3_600)
    assert line.downtimes() == []
    for index, body in enumerate(stored):
        line.report("bagger", replace_seq(body, bagger.seq + index), at=4 * 3_600 + index * 0.01)
    line.wait(4 * 3_600 + 100)
    expected = [T0 + (begin + 50) * 1000 for begin in range(1_200, 300 + 9 * 900, 900)]
    assert [millis(downtime.started_at) for downtime in line.downtimes()] == expected
    assert {(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()} == {("closed", 100)}
    hours = {window.window_start: window for window in closed(line)}
    assert sum(hour.unknown_seconds for hour in hours.values()) == 301 + 8 * (301 - 280)


@pytest.mark.parametrize(("clock", "missing", "unknown"), [("device", 1, 300), ("device", 0, 109), ("receive", 0, 300)])
def test_a_machine_that_is_heard_only_after_the_absence_was_gone_through(
    clock: str, missing: int, unknown: int
) -> None:
    """Where no report of it is missing it was what it was before; else nothing of it becomes known by others."""
    line = line_of(clock=clock)
    bagger = Bagger(line)
    bagger.state("running", 0)
    line.report("packer", StateReport(state="running", ts=T0), at=0)
    absent(line, 300, 400)
    line.report("packer", StateReport(state="running", ts=T0 + 310_000), at=401)
    bagger.seq += missing
    bagger.state("running", 600)
    if missing:
        line.report("packer", StateReport(state="running", ts=T0 + 350_000), at=700)
    line.wait(3_600)
    assert closed(line)[-1].unknown_seconds == pytest.approx(unknown, abs=1), "the wait for it ended at 491"


@pytest.mark.parametrize("boot", [1, 2])
def test_what_lies_before_a_new_start_of_the_device_stays_unknown(boot: int) -> None:
    """Its last reports before the start may be missing, also where it repeats the id of its boot."""
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 400)
    bagger.boot, bagger.seq = boot, -1
    bagger.report(BirthReport(), 380)
    bagger.state("running", 381)
    bagger.reconnect()
    line.wait(3_600)
    assert closed(line)[-1].unknown_seconds == 81


def store(bagger: Bagger, absence: tuple[float, float], *said: tuple[float, str]) -> list[ReportBody]:
    """Return what is said in an absence of the bridge, and comes later than what is said after it."""
    bagger.absence = absence
    for at, word in said:
        bagger.state(word, at)
    stored, bagger.waiting = bagger.waiting, []
    bagger.reconnect()
    return stored


def send(bagger: Bagger, stored: list[ReportBody], at: float) -> None:
    for index, body in enumerate(stored):
        bagger.line.report("bagger", replace_seq(body, bagger.seq + index), at=at + index * 0.01)
    bagger.seq += len(stored)


def test_a_downtime_that_is_known_is_not_added_again_by_what_comes_still_later() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    stored = store(bagger, (300, 900), (310, "fault"), (410, "running"), (500, "running"), (600, "running"))
    bagger.state("running", 901)
    send(bagger, stored[:3], 1_000)
    line.wait(1_100)
    send(bagger, stored[3:], 1_200)
    line.wait(1_300)
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [("closed", 100)]


def test_what_is_learnt_of_an_old_absence_leaves_the_stop_of_now_alone() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    stored = store(bagger, (300, 900), (310, "fault"), (410, "running"), (500, "running"))
    bagger.state("running", 901)
    bagger.state("fault", 1_000)
    line.wait(1_100)
    send(bagger, stored, 1_200)
    line.wait(3_600)
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [
        ("open", None),
        ("closed", 100),
    ]
    (hour,) = closed(line)
    assert hour.planned_busy_seconds - hour.actual_production_seconds == 2_600 + 100


@pytest.mark.parametrize("runs_at", [43_100, 43_193, 43_199, 43_260])
def test_a_stop_over_the_end_of_the_shift_is_the_one_that_would_have_been_watched(runs_at: int) -> None:
    """Every stop ends with scheduled time, also one from which the line has just restarted."""
    found = []
    for away in (None, (42_000.0, 46_000.0)):
        line = line_of()
        bagger = Bagger(line)
        bagger.state("running", 0)
        bagger.absence = away
        bagger.state("fault", 43_000)
        bagger.state("running", runs_at)
        bagger.state("running", 45_990)
        if away is not None:
            bagger.reconnect()
        line.wait(50_000)
        found.append(
            [(downtime.started_at, downtime.ended_at) for downtime in line.downtimes() if downtime.status == "closed"]
        )
    assert found[0] == found[1]
    assert len(found[0]) == 1


def test_a_downtime_whose_end_is_unknown_ends_with_scheduled_time() -> None:
    line = line_of()
    bagger = Bagger(line)
    bagger.state("running", 0)
    bagger.absence = (42_000, 46_000)
    for at, word in ((43_000, "fault"), (43_100, "fault"), (43_150, "fault"), (45_990, "running")):
        bagger.state(word, at)
    bagger.lose(2)
    bagger.reconnect()
    line.wait(50_000)
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [("closed", 200)]


def replace_seq(body: ReportBody, seq: int) -> ReportBody:
    assert isinstance(body, StateReport)
    return StateReport(state=body.state, ts=body.ts, boot_id=body.boot_id, seq=seq + 1)


class Watched:
    """A seeded history of one machine, of which stretches are not watched; every report reaches the bridge."""

    def __init__(self, seed: int) -> None:
        rnd = self.random = random.Random(seed)
        machine = plant.EquipmentConfig(
            id="bagger", clock="device", counters=plant.CounterRule(max_rate_per_minute=1_000_000)
        )
        self.line = PackingLine(plant_file(line_spec(equipment=[machine], ideal_cycle_seconds=2.0)))
        self.bagger = Bagger(self.line)
        self.at = rnd.choice((0.0, 3_500.0, 11.9 * 3_600, 11.99 * 3_600, 19.9 * 3_600)) + rnd.randrange(400)
        self.said: list[tuple[int, str]] = []

    def report(self, word: str) -> None:
        self.bagger.state("running" if word == "run" else "stopped", self.at)
        if self.said and self.said[-1][0] == T0 + round(self.at * 1000):
            self.said.pop()
        self.said.append((T0 + round(self.at * 1000), word))

    def go(self, *, restart: bool = False) -> oracle.History:
        rnd, bagger = self.random, self.bagger
        self.report("run")
        bagger.counts(0, self.at)
        for _ in range(rnd.randrange(10, 50)):
            self.at = round(self.at + rnd.choice((0.7, 5, 9.999, 10, 30, 59.999, 60, 61, 200, 2_000)), 3)
            if bagger.absence is None and rnd.random() < 0.25:
                bagger.absence = (round(self.at - rnd.choice((0, 0.3)), 3), 0)
            elif bagger.absence is not None and rnd.random() < 0.4 and self.at - bagger.absence[0] > 10:
                self.come_back(restart=restart)
            rnd.choice((self.change, self.change, self.count))()
        if bagger.absence is not None:
            self.at += 20
            self.come_back(restart=restart)
        self.at = round(self.at + 30)
        self.report("run")
        self.at += 2 * 3_600
        self.line.wait(self.at)
        return oracle.History(self.said, T0 + round(self.at * 1000), SCHEDULED, [])

    def come_back(self, *, restart: bool) -> None:
        assert self.bagger.absence is not None
        self.bagger.absence = (self.bagger.absence[0], self.at)
        self.bagger.reconnect()
        self.at += 1
        if restart:
            spec = self.line.plant_file.lines[0]
            self.line.core = Line.restore(self.line.plant_file, spec, self.line.core.checkpoint())

    def change(self) -> None:
        self.report(self.random.choice(("run", "stop")))

    def count(self) -> None:
        self.bagger.counts(self.random.randrange(50), self.at)


@given(seed=st.integers(0, 2**32), restart=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_an_absence_of_which_everything_was_kept_costs_nothing(seed: int, restart: int) -> None:
    """Windows and downtimes are those of the whole history, as one who watched all of it would have them."""
    run = Watched(seed)
    history = run.go(restart=bool(restart))
    reported = last_windows(run.line.events)
    for data in reported.values():
        assert data.window_end is not None
        truth = history.within(millis(data.window_start), millis(data.window_end))
        agrees_in_time(data, truth)
        assert data.unknown_count == 0, "its pieces came back with the time"
    last = {data.downtime_id: data for data in run.line.downtimes()}
    found = sorted(
        (millis(data.started_at), history.until if data.ended_at is None else millis(data.ended_at))
        for data in last.values()
    )
    assert found == history.downtimes()


def agrees_in_time(reported: event_data.Oee, truth: oracle.Result) -> None:
    assert reported.actual_production_seconds == truth.busy_ms / 1000
    assert reported.planned_busy_seconds == (truth.busy_ms + truth.down_ms) / 1000
    assert reported.unknown_seconds == truth.unknown_ms / 1000
