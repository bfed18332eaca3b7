"""The absence of a device that kept its reports: with a trusted clock, the same windows and downtimes as watched."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

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
from tests.domain.line.test_absence_rebuilt import agrees_in_time
from tests.domain.line.test_oee_base import closed
from tests.domain.line.test_oee_oracle import SCHEDULED, last_told, millis
from tests.support.packing_line import T0, Shop, equipment, line_spec, plant_file, state_of

SILENCE = 70.0
ORDERS = ("in order", "after the standing value", "after a birth")


class Machine:
    """A device with a clock and a sequence; what it says while it is away it keeps, and sends when it is back."""

    def __init__(self, shop: Shop, name: str = "bagger") -> None:
        self.shop, self.name = shop, name
        self.boot, self.seq, self.total = 1, 0, 0
        self.kept: list[ReportBody] | None = None
        self.word = "running"

    def says(self, body: ReportBody, at: float) -> None:
        body = msgspec.structs.replace(body, ts=T0 + round(at * 1000))
        if self.kept is not None:
            self.kept.append(body)
        else:
            self.send(body, at)

    def send(self, body: ReportBody, at: float) -> None:
        self.seq += 1
        self.shop.say(self.name, msgspec.structs.replace(body, boot_id=self.boot, seq=self.seq), at=at)

    def state(self, word: str, at: float) -> None:
        self.word = word
        self.says(StateReport(state=word), at)

    def counts(self, made: int, at: float) -> None:
        self.total += made
        self.says(CountsReport(total=self.total), at)

    def dies(self, at: float) -> None:
        self.shop.say(self.name, DeathReport(), at=at)
        self.kept = []

    def falls_silent(self, at: float) -> None:
        """Lost at this instant; the last it said was a report of as long before."""
        self.shop.wait(at)
        self.kept = []

    def returns(self, at: float, *, order: str = "in order", lost: Sequence[int] = ()) -> None:
        """What it kept arrives, without the reports of these numbers."""
        kept, self.kept = self.kept or [], None
        if order == "after a birth":
            self.says(BirthReport(), at)
        if order == "after the standing value":
            self.says(StateReport(state=self.word), at)
        for index, body in enumerate(kept):
            if index in lost:
                self.seq += 1
            else:
                self.send(body, at + 0.01 * (index + 1))
        self.says(StateReport(state=self.word), at + 0.9)


LOSSES: dict[str, Callable[[Machine, float], None]] = {"death": Machine.dies, "silence": Machine.falls_silent}
each_loss = pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))
each_order = pytest.mark.parametrize("order", ORDERS)


def shop_of(clock: str = "device", *, heartbeat: float | None = None) -> Shop:
    return Shop(plant_file(line_spec(equipment=equipment(clock=clock, heartbeat_seconds=heartbeat))))


def running(clock: str = "device", lose: Callable[[Machine, float], None] = Machine.dies) -> tuple[Shop, Machine]:
    """The bagger is the constraint, and was last heard at 230 s."""
    shop = shop_of(clock, heartbeat=SILENCE if lose is Machine.falls_silent else None)
    bagger = Machine(shop)
    bagger.counts(0, 0)
    lives(bagger, 0, 180)
    bagger.state("running", 230)
    return shop, bagger


def lives(machine: Machine, since: float, until: float) -> None:
    """It is heard once a minute."""
    at = since
    while at <= until:
        machine.state(machine.word, at)
        at += 60


def found(shop: Shop) -> list[tuple[str, int | float | None]]:
    """Return the state and length of each downtime as last told."""
    return [(each.status, each.duration_seconds) for each in last_of(shop)]


def last_of(shop: Shop) -> list[event_data.Downtime]:
    """Return each downtime as last reported."""
    return list({each.downtime_id: each for each in shop.downtimes()}.values())


@each_order
@each_loss
def test_a_stop_that_the_device_kept_is_the_downtime_it_was(lose: Callable[[Machine, float], None], order: str) -> None:
    shop, bagger = running(lose=lose)
    lose(bagger, 300)
    bagger.state("fault", 310)
    bagger.state("running", 410)
    bagger.counts(50, 411)
    bagger.returns(1_000, order=order)
    lives(bagger, 1_050, 3_660)
    (downtime,) = shop.downtimes()
    assert (downtime.status, downtime.duration_seconds, downtime.started_at) == (
        "closed",
        100,
        "2026-01-05T09:05:10.000Z",
    )
    assert shop.of(EventType.DOWNTIME_EVENT)[0].quality.estimated
    for scope in (None, "bagger"):
        hour = [each for each in shop.oee("hour", scope) if each.closed][-1]
        away = 1 if order == "after a birth" else 0  # nobody knows what it does until it says it
        assert hour.unknown_seconds == pytest.approx(0, abs=away)
        assert hour.planned_busy_seconds - hour.actual_production_seconds == 100
        assert "estimated" in hour.flags
    assert not shop.of(EventType.ANDON_EVENT), "what is over calls nobody"
    assert shop.statuses("bagger")[-1].status == "running"


@each_loss
def test_a_device_whose_clock_is_not_trusted_stays_unknown(lose: Callable[[Machine, float], None]) -> None:
    shop, bagger = running("receive", lose)
    lose(bagger, 300)
    bagger.state("fault", 310)
    bagger.state("running", 410)
    bagger.returns(1_000)
    lives(bagger, 1_050, 3_660)
    assert shop.downtimes() == []
    assert closed(shop)[-1].unknown_seconds == pytest.approx(700, abs=1)
    assert not state_of(shop.line).absences.records


def test_the_device_is_shown_as_it_is_seen() -> None:
    """Offline until it speaks; then what it says, though its time is gone through later."""
    shop, bagger = running()
    bagger.dies(300)
    bagger.returns(1_000)
    shop.wait(1_100)
    assert [each.status for each in shop.statuses("bagger")][-2:] == ["offline", "running"]
    assert shop.statuses("bagger")[-1].since == "2026-01-05T09:16:40.900Z"
    grown = [each.unknown_seconds for each in shop.oee("hour") if each.unknown_seconds]
    assert len(grown) > 3, "unknown time is shown as it grows"


@each_order
def test_a_stop_that_still_lasts_began_when_it_began_and_calls(order: str) -> None:
    shop, bagger = running()
    bagger.dies(300)
    bagger.state("fault", 310)
    bagger.returns(600, order=order)
    shop.wait(606)
    (downtime,) = shop.downtimes()
    assert (downtime.status, downtime.started_at) == ("open", "2026-01-05T09:05:10.000Z")
    shop.wait(660)
    assert shop.of(EventType.ANDON_EVENT, "bagger")


def test_what_lies_around_a_missing_report_is_unknown() -> None:
    shop, bagger = running()
    bagger.dies(300)
    for at, word in ((360, "running"), (500, "fault"), (700, "running")):
        bagger.state(word, at)
    bagger.returns(900, lost=[1])
    lives(bagger, 950, 3_660)
    assert shop.downtimes() == []
    assert closed(shop)[-1].unknown_seconds == 340, "from the report before the missing one to the one after it"


def test_what_lies_before_a_new_boot_is_unknown() -> None:
    shop, bagger = running()
    bagger.dies(300)
    for at, word in ((350, "running"), (500, "fault"), (700, "running")):
        bagger.state(word, at)
    bagger.boot, bagger.seq = 2, -1
    bagger.send(BirthReport(ts=T0 + 900_000), 900)
    bagger.returns(900)
    lives(bagger, 950, 3_660)
    assert closed(shop)[-1].unknown_seconds == 50, "from its death to the first report of the boot"
    assert found(shop) == [("closed", 200)]


@pytest.mark.parametrize(("every", "unknown"), [(60, 0), (300, 600)])
def test_without_a_sequence_it_is_known_while_it_reports_every_minute(every: int, unknown: int) -> None:
    shop = shop_of()
    shop.say("bagger", StateReport(state="running", ts=T0 + 300_000), at=300)
    shop.say("bagger", DeathReport(), at=300)
    for at in range(300 + every, 900, every):
        shop.say("bagger", StateReport(state="running", ts=T0 + at * 1000), at=900)
    for at in range(900, 3_601, 60):
        shop.say("bagger", StateReport(state="running", ts=T0 + at * 1000), at=at)
    assert closed(shop)[-1].unknown_seconds == 300 + unknown


def test_late_counts_make_nothing_unknown() -> None:
    """They say nothing of the state, and what the report before them said holds until the next."""
    shop = shop_of()
    shop.say("bagger", StateReport(state="running", ts=T0 + 290_000), at=290)
    shop.say("bagger", DeathReport(), at=300)
    shop.say("bagger", StateReport(state="running", ts=T0 + 350_000), at=350)
    shop.say("bagger", CountsReport(total=1, ts=T0 + 320_000), at=351)
    for at in range(360, 3_601, 60):
        shop.say("bagger", StateReport(state="running", ts=T0 + at * 1000), at=at)
    assert closed(shop)[-1].unknown_seconds == 290


@each_loss
@pytest.mark.parametrize("since", [230, 600])
def test_a_device_that_kept_nothing_costs_what_it_cost_before(
    lose: Callable[[Machine, float], None], since: float
) -> None:
    """A report is missing: the windows and downtimes are those of a device whose clock nobody trusts."""
    told = []
    for clock in ("device", "receive"):
        shop, bagger = running(clock, lose)
        lives(bagger, 240, since)
        lose(bagger, since + 70)
        bagger.kept = None
        bagger.seq += 1
        bagger.state("fault", 1_000)
        bagger.state("running", 1_100)
        lives(bagger, 1_150, 3_660)
        told.append(({each.window_start: each for each in shop.oee("hour") if each.closed}, found(shop)))
    assert told[0] == told[1]


def test_the_next_report_shows_that_a_late_backlog_is_complete() -> None:
    """The store is sent after the value of now, and gone through; a minute later nothing turns out to be missing."""
    shop, bagger = running()
    bagger.dies(300)
    bagger.state("fault", 400)
    bagger.state("running", 500)
    bagger.state("running", 520)
    kept, bagger.kept = bagger.kept or [], None
    bagger.state("running", 1_000)
    for index, body in enumerate(kept):
        bagger.send(body, 1_000.1 + index / 100)
    shop.wait(1_050)
    assert found(shop) == [("closed", 100)]
    assert [each.unknown_seconds for each in shop.oee("hour")][-1] == 480
    lives(bagger, 1_060, 3_660)
    assert closed(shop)[-1].unknown_seconds == 0


def test_what_is_heard_of_a_machine_without_being_used_ends_its_absence() -> None:
    """After silence it is again what it said last, whatever the quality of what it says; its time is known."""
    shop, bagger = running(lose=Machine.falls_silent)
    bagger.falls_silent(300)
    bagger.kept = None
    at = 600.0
    while at < 3_660:
        bagger.says(StateReport(state="running", source_quality="bad"), at)
        at += 60
    for scope in (None, "bagger"):
        assert [each for each in shop.oee("hour", scope) if each.closed][-1].unknown_seconds == 300


def test_what_the_clock_of_the_host_skipped_stays_unknown() -> None:
    shop, bagger = running()
    bagger.dies(300)
    shop.events += shop.line.set_forward(300_000, T0 + 800_000)
    bagger.kept = []
    bagger.state("fault", 850)
    bagger.state("running", 950)
    bagger.returns(1_000)
    shop.wait(3_600)
    assert found(shop) == [("closed", 100)]
    assert closed(shop)[-1].unknown_seconds == 300


# The line, and what decides it


def two_that_decide() -> tuple[Shop, Machine, Machine]:
    machines = (
        plant.EquipmentConfig(id="bagger", clock="device", ideal_cycle_seconds=1.0),
        plant.EquipmentConfig(id="packer", clock="device"),
        plant.EquipmentConfig(id="wrapper"),
    )
    shop = Shop(plant_file(line_spec(equipment=machines, constraint=None, critical=("bagger", "packer"))))
    bagger, packer = Machine(shop, "bagger"), Machine(shop, "packer")
    for each in (bagger, packer):
        each.state("running", 0)
    shop.say("wrapper", StateReport(state="running"), at=0)
    return shop, bagger, packer


@pytest.mark.parametrize("back", [(900, 1_200), (1_200, 900), (1_000, 1_000)])
@pytest.mark.parametrize("lost", [(300, 400), (400, 300), (300, 300)])
def test_two_devices_whose_absences_overlap(lost: tuple[int, int], back: tuple[int, int]) -> None:
    shop, *both = two_that_decide()
    stops = ((420, 540), (500, 600))
    steps: list[tuple[float, Callable[[], None]]] = []
    for machine, away, until, (stop, end) in zip(both, lost, back, stops, strict=True):
        steps += [
            (away, partial(machine.dies, away)),
            (stop, partial(machine.state, "fault", stop)),
            (end, partial(machine.state, "running", end)),
            (until, partial(machine.returns, until)),
        ]
    for _, step in sorted(steps, key=lambda each: each[0]):
        step()
    shop.wait(3_600)
    assert found(shop) == [("closed", 180)]
    (hour,) = closed(shop)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 180)


def test_a_machine_that_does_not_decide_is_gone_through_by_itself() -> None:
    """The line is watched as ever meanwhile: its downtime opens, and calls."""
    machines = (
        plant.EquipmentConfig(id="bagger"),
        plant.EquipmentConfig(id="packer", clock="device", ideal_cycle_seconds=1.0),
    )
    shop = Shop(plant_file(line_spec(equipment=machines)))
    packer = Machine(shop, "packer")
    shop.say("bagger", StateReport(state="running"), at=0)
    packer.state("running", 0)
    packer.dies(300)
    packer.state("fault", 400)
    shop.say("bagger", StateReport(state="fault"), at=500)
    shop.wait(600)
    assert [each.status for each in shop.downtimes()] == ["open"]
    packer.state("running", 700)
    packer.returns(1_000)
    shop.wait(3_600)
    line, own = closed(shop)[-1], [each for each in shop.oee("hour", "packer") if each.closed][-1]
    assert line.unknown_seconds == own.unknown_seconds == 0
    assert own.planned_busy_seconds - own.actual_production_seconds == 300
    assert line.planned_busy_seconds - line.actual_production_seconds == 3_100


def test_a_stop_by_another_machine_is_watched_while_one_is_away() -> None:
    """A known stop weighs more than an unknown state: a downtime opens at its threshold, and calls."""
    shop, bagger, packer = two_that_decide()
    bagger.dies(300)
    packer.state("fault", 400)
    shop.wait(461)
    assert [(each.status, each.started_at) for each in shop.downtimes()] == [("open", "2026-01-05T09:06:40.000Z")]
    shop.wait(701)
    assert shop.of(EventType.ANDON_EVENT, "packer")
    packer.state("running", 800)
    bagger.state("fault", 900)
    bagger.state("running", 1_000)
    bagger.returns(1_100)
    shop.wait(3_600)
    assert found(shop) == [("closed", 400), ("closed", 100)]
    (hour,) = closed(shop)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 500)


def test_the_line_is_lost_only_when_the_other_machine_runs_again() -> None:
    shop, bagger, packer = two_that_decide()
    packer.state("fault", 290)
    bagger.dies(300)
    packer.state("running", 500)
    bagger.state("fault", 600)
    bagger.state("running", 700)
    bagger.returns(900)
    shop.wait(3_600)
    assert found(shop) == [("closed", 210), ("closed", 100)]
    (hour,) = closed(shop)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 310)


def test_the_culprit_is_the_machine_that_was_watched_meanwhile() -> None:
    shop, bagger = running()
    shop.say("feeder", StateReport(state="running"), at=1)
    bagger.dies(300)
    shop.say("feeder", StateReport(state="fault"), at=400)
    bagger.says(StateReport(state="idle", upstream_stop=True), 420)
    shop.say("feeder", StateReport(state="running"), at=500)
    bagger.state("running", 510)
    bagger.returns(900)
    shop.wait(960)
    assert [(each.cause, each.cause_equipment, each.duration_seconds) for each in shop.downtimes()] == [
        ("upstream", "feeder", 90)
    ]


@pytest.mark.parametrize("restarts", [False, True], ids=["it stands", "it runs again for less than 10 s"])
def test_a_stop_that_lasts_is_opened_though_another_was_taken_for_one(*, restarts: bool) -> None:
    """Lost while it stood, so a downtime opens as the shift begins; it ran by then, and stands again since."""
    shop = shop_of()
    bagger = Machine(shop)
    shift = 20 * 3_600
    bagger.state("running", shift - 400)
    bagger.state("stopped", shift - 130)
    bagger.dies(shift - 100)
    bagger.state("running", shift - 99)
    bagger.state("fault", shift + 160)
    bagger.returns(shift + 280)
    if restarts:
        bagger.state("running", shift + 283)
        bagger.state("fault", shift + 291)
    shop.wait(shift + 3_600)
    assert [(each.status, each.micro_stop) for each in last_of(shop)] == [("closed", True), ("open", False)]
    assert millis(last_of(shop)[-1].started_at) == T0 + (shift + 160) * 1_000
    calls = [each.data for each in shop.of(EventType.ANDON_EVENT, "bagger")]
    assert {call.downtime_id for call in calls if isinstance(call, event_data.Andon)} == {"L1.down.2"}


def test_a_line_known_to_stand_is_not_kept_waiting_for_the_machine_still_away() -> None:
    """Five seconds, not the time that silent machines have to report after an absence of the bridge."""
    shop, bagger, packer = two_that_decide()
    bagger.dies(300)
    packer.dies(300)
    packer.state("fault", 320)
    packer.returns(400)
    shop.wait(407)
    assert [(each.status, millis(each.started_at)) for each in shop.downtimes()] == [("open", T0 + 320_000)]


def test_a_downtime_from_before_the_line_was_lost_is_reported_once() -> None:
    """The shift ends it while the bagger is away; only when the packer runs is nothing known of the line."""
    shop, bagger, packer = two_that_decide()
    end = 12 * 3_600
    for machine in (bagger, packer):
        machine.state("running", end - 600)
    packer.state("fault", end - 500)
    bagger.dies(end - 200)
    packer.state("running", end + 100)
    bagger.returns(end + 200)
    shop.wait(end + 3_600)
    assert found(shop) == [("closed", 500)]


def test_no_downtime_stays_open_when_the_line_runs_again_after_a_step_of_the_clock() -> None:
    """The line was lost before it stopped; the history that is rebuilt after the step does not contain the downtime."""
    shop, bagger, packer = two_that_decide()
    packer.dies(590)
    bagger.state("fault", 600)
    bagger.dies(600)
    shop.wait(670)
    assert [each.status for each in shop.downtimes()] == ["open"]
    shop.events += shop.line.set_forward(300_000, T0 + 970_000)
    bagger.seq += 1
    for machine, at in ((bagger, 1_060), (packer, 1_200)):
        machine.kept = None
        machine.state("running", at)
    shop.wait(3_600)
    assert {each.status for each in last_of(shop)} == {"closed"}


# With an absence of the bridge


@pytest.mark.parametrize("bridge", [(500, 700), (500, 1_100), (310, 330)])
def test_the_bridge_is_away_while_a_device_is(bridge: tuple[int, int]) -> None:
    shop, bagger = running()
    bagger.dies(300)
    bagger.state("fault", 400)
    bagger.state("running", 520)
    absent(shop, *bridge)
    bagger.returns(max(bridge[1], 1_000))
    shop.wait(3_600)
    assert found(shop) == [("closed", 120)]
    (hour,) = closed(shop)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 120)


@pytest.mark.parametrize("dies", [402, 600])
def test_a_device_is_away_within_and_after_an_absence_of_the_bridge(dies: float) -> None:
    """Its Will reaches the bridge when that is back; what the device kept comes long after it."""
    shop, bagger = running()
    absent(shop, 300, 400)
    bagger.kept = []
    bagger.state("running", 390)
    if dies > 500:
        bagger.returns(400)
        lives(bagger, 450, 599)
    bagger.dies(dies)
    shop.say("packer", StateReport(state="running", ts=T0 + 403_000), at=max(dies, 403))
    shop.wait(800)
    bagger.kept = [StateReport(state="running", ts=T0 + 390_000)] if dies < 500 else []
    bagger.state("fault", 700)
    bagger.state("running", 900)
    bagger.returns(1_000)
    shop.wait(3_600)
    assert found(shop) == [("closed", 200)]
    (hour,) = closed(shop)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 200)


def test_one_lost_again_before_it_reports_is_what_it_was_before_the_absence_of_the_bridge() -> None:
    """Its next report, with none missing before it, proves that it ran in both absences."""
    shop, bagger = running()
    absent(shop, 300, 400)
    shop.say("packer", StateReport(state="running", ts=T0 + 410_000), at=410)
    bagger.dies(600)
    bagger.returns(1_000)
    lives(bagger, 1_050, 3_660)
    assert closed(shop)[-1].unknown_seconds == 100, "from when no machine was waited for any more to its death"


def test_a_machine_never_heard_after_an_absence_of_the_bridge_was_watched_until_then() -> None:
    shop, bagger, packer = two_that_decide()
    for machine in (bagger, packer):
        machine.state("running", 290)
    bagger.dies(300)
    packer.state("running", 490)
    absent(shop, 500, 700)
    bagger.returns(1_000)
    lives(bagger, 1_050, 3_660)
    assert closed(shop)[-1].unknown_seconds == 3_100


FAST = plant.CounterRule(max_rate_per_minute=1_000_000)


# The whole history, as one who watched all of it would have it


@dataclass
class Kept:
    """A seeded history of one machine that is lost again and again, and keeps what it would have said."""

    seed: int
    order: str = "in order"
    clock: str = "device"
    keeps: bool = True

    def go(self, *, restart: bool = False) -> tuple[Shop, oracle.History]:
        rnd = self.random = random.Random(self.seed)
        machine = plant.EquipmentConfig.model_validate(
            {"id": "bagger", "clock": self.clock, "ideal_cycle_seconds": 1.0, "counters": FAST}
        )
        self.shop = Shop(plant_file(line_spec(equipment=[machine])))
        self.bagger = Machine(self.shop)
        self.at = rnd.choice((0.0, 3_500.0, 11.9 * 3_600, 11.99 * 3_600, 19.9 * 3_600)) + rnd.randrange(400)
        self.said: list[tuple[int, str]] = []
        self.say("run")
        self.bagger.counts(0, self.at)
        for _ in range(rnd.randrange(10, 50)):
            self.at = round(self.at + rnd.choice((0.7, 5, 9.999, 10, 30, 59.999, 60, 61, 200, 2_000)), 3)
            if self.bagger.kept is None and rnd.random() < 0.25:
                self.bagger.dies(self.at)
                self.at += 1
            elif self.bagger.kept is not None and rnd.random() < 0.4:
                self.come_back(restart=restart)
            rnd.choice((self.change, self.change, self.count))()
        if self.bagger.kept is not None:
            self.at += 20
            self.come_back(restart=restart)
        self.at = round(self.at + 30)
        self.say("run")
        self.at += 2 * 3_600
        self.shop.wait(self.at)
        return self.shop, oracle.History(self.said, T0 + round(self.at * 1000), SCHEDULED, [])

    def say(self, word: str) -> None:
        self.bagger.state("running" if word == "run" else "stopped", self.at)
        if self.said and self.said[-1][0] == T0 + round(self.at * 1000):
            self.said.pop()
        self.said.append((T0 + round(self.at * 1000), word))

    def come_back(self, *, restart: bool) -> None:
        kept = range(len(self.bagger.kept or []))
        self.bagger.seq += 0 if self.keeps else 1
        self.bagger.returns(self.at, order=self.order, lost=[] if self.keeps else kept)
        self.at += 1 if self.keeps else 7
        if restart:
            spec = self.shop.plant_file.lines[0]
            self.shop.line = Line.restore(self.shop.plant_file, spec, self.shop.line.checkpoint())

    def change(self) -> None:
        self.say(self.random.choice(("run", "stop")))

    def count(self) -> None:
        self.bagger.counts(self.random.randrange(50), self.at)


@given(seed=st.integers(0, 2**32), order=st.sampled_from(ORDERS), restart=st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_absence_of_which_the_device_kept_everything_costs_nothing(seed: int, order: str, *, restart: bool) -> None:
    shop, history = Kept(seed, order).go(restart=restart)
    for data in last_told(shop.events).values():
        assert data.window_end is not None
        agrees_in_time(data, history.within(millis(data.window_start), millis(data.window_end)))
        assert data.unknown_count == 0, "its pieces came back with the time"
    downtimes = [data for data in last_of(shop) if not data.micro_stop]
    told = sorted((millis(data.started_at), _end(data, history.until)) for data in downtimes)
    assert told == history.downtimes()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_without_a_backlog_all_becomes_what_it_is_without_a_trusted_clock(seed: int) -> None:
    told = []
    for clock in ("device", "receive"):
        shop, history = Kept(seed, clock=clock, keeps=False).go()
        windows = {
            key: (each.unknown_seconds, each.actual_production_seconds, each.planned_busy_seconds)
            for key, each in last_told(shop.events).items()
            if each.unknown_seconds or each.planned_busy_seconds  # an hour outside the plan may be told again
        }
        last = {data.downtime_id: data for data in shop.downtimes()}
        told.append((windows, sorted((each.started_at, _end(each, history.until)) for each in last.values())))
    assert told[0] == told[1]


def _end(data: event_data.Downtime, until: int) -> int:
    return until if data.ended_at is None else millis(data.ended_at)
