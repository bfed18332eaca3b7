"""Every closed OEE window, as last reported, agrees with the whole history."""

import random
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import event_data, plant
from bridge.domain.events import Event, EventType, Standing
from bridge.domain.reports import CountsReport, DeathReport, JobReport, StateReport
from tests.domain.line.oracles import oee as oracle
from tests.support.packing_line import T0, PackingLine, line_spec, plant_file

HOUR = 3_600_000
IDEAL = {"crisps": 2.0, "nuts": 4.0}
SCHEDULED = [(T0 + (day * 24 - 4) * HOUR, T0 + (day * 24 + 12) * HOUR) for day in (0, 1, 2)]  # 06:00 to 22:00


def millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class OracleRun:
    """A seeded history: reports for the line, and states for the oracle."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        machine = plant.EquipmentConfig(id="bagger", counters=plant.CounterRule(max_rate_per_minute=1_000_000))
        self.line = PackingLine(plant_file(line_spec(equipment=[machine], ideal_cycle_seconds=None)))
        self.states: list[tuple[int, str]] = []
        self.pieces: list[oracle.Piece] = []
        self.jobs: dict[str, list[list[int]]] = {}
        self.running: str | None = None
        self.reported_product: str | None = None
        self.product = "crisps"
        self.total = self.good = self.counted_at = 0
        self.at = self.random.choice((0.0, 11.9 * 3_600, 19.9 * 3_600)) + self.random.random() * 400
        self.at = round(self.at, 3)

    def go(self) -> oracle.LineTimeline:
        self.report("run")
        self.line.report("bagger", CountsReport(total=0, good=0), at=self.at)
        self.counted_at = self.now()
        for job in ("J1", "J2"):
            body = JobReport(
                action="assign", job_id=job, product="nuts" if job == "J1" else "crisps", target_quantity=9
            )
            self.line.report(None, body, at=self.at)
        for _ in range(self.random.randrange(5, 60)):
            self.at = round(self.at + self.random.choice((0.7, 5, 9.999, 10, 30, 59.999, 60, 61, 200, 2_000)), 3)
            self.random.choice((self.state, self.state, self.count, self.count, self.job))()
        until = T0 + round(self.at * 1000)
        return oracle.LineTimeline(self.states, until, SCHEDULED, self.pieces)

    def now(self) -> int:
        return T0 + round(self.at * 1000)

    def report(self, signal: str) -> None:
        self.dead = signal == "lost"
        if self.dead:
            self.line.report("bagger", DeathReport(), at=self.at)
        else:
            product = self.random.choice(("crisps", "nuts", "crisps"))
            body = StateReport(state="running" if signal == "run" else "stopped", product=product)
            self.line.report("bagger", body, at=self.at)
            if product != self.reported_product and self.running is None:
                self.product = product
            self.reported_product = product
        if signal == "lost" and self.states and self.states[-1][1] == "stop":
            signal = "stop"  # a stop that is known stays one until something else is
        if self.states and self.states[-1][0] == self.now():
            self.states.pop()
        self.states.append((self.now(), signal))

    def state(self) -> None:
        self.report(self.random.choice(("run", "stop", "stop", "run", "lost")))

    def count(self) -> None:
        # at a rate that a machine keeps: of pieces that come faster, the counter rules believe that they waited
        seconds = (self.now() - self.counted_at) / 1_000
        made, bad = int(seconds * self.random.uniform(0.12, 0.2)), self.random.randrange(3)
        bad = min(made, bad)
        if self.dead and made:
            return self.report("run")  # pieces would prove that it runs: another test's matter
        self.total += made
        self.good += made - bad
        self.line.report("bagger", CountsReport(total=self.total, good=self.good), at=self.at)
        self.pieces.append(oracle.Piece(self.now(), made, made - bad, IDEAL[self.product], self.counted_at))
        self.counted_at = self.now()
        return None

    def job(self) -> None:
        job = self.random.choice(("J1", "J2"))
        if self.running is None:
            self.line.report(None, JobReport(action="start", job_id=job), at=self.at)
            self.jobs.setdefault(job, []).append([self.now(), self.now()])
            self.running, self.product = job, "nuts" if job == "J1" else "crisps"
        else:
            self.line.report(None, JobReport(action="pause", job_id=self.running), at=self.at)
            self.jobs[self.running][-1][1] = self.now()
            self.running = None


def last_windows(events: list[Event]) -> dict[tuple[str, str], event_data.Oee]:
    latest: dict[tuple[str, str], event_data.Oee] = {}
    for event in events:
        if event.type is EventType.OEE_UPDATE and isinstance(event.data, event_data.Oee) and event.data.closed:
            latest[event.subject, event.data.job_id or event.data.window_start] = event.data
    return latest


def same(reported: float | None, truth: float | None) -> bool:
    return reported == truth if reported is None or truth is None else reported == pytest.approx(truth, rel=1e-9)


def agrees(reported: event_data.Oee, truth: oracle.OeeResult) -> None:
    assert reported.actual_production_seconds == truth.busy_ms / 1000
    assert reported.planned_busy_seconds == (truth.busy_ms + truth.down_ms) / 1000
    assert reported.unknown_seconds == truth.unknown_ms / 1000
    assert (reported.total_count, reported.good_count, reported.unknown_count) == (truth.total, truth.good, truth.apart)
    if truth.total:
        assert reported.ideal_cycle_seconds == pytest.approx(truth.ideal_seconds / truth.total, rel=1e-9)
    assert same(reported.availability, truth.availability)
    assert same(reported.performance, truth.performance)
    assert same(reported.quality, truth.quality)
    parts = (reported.availability, reported.performance, reported.quality)
    if reported.oee is not None and None not in parts:
        product = 1.0
        for part in parts:
            assert part is not None
            product *= part
        assert reported.oee == pytest.approx(product, rel=1e-9)
        # PRI * GQ / PBT, with PRI the mean of what was made
        ideal = truth.ideal_seconds / truth.total * truth.good * 1000 / (truth.busy_ms + truth.down_ms)
        assert reported.oee == pytest.approx(ideal, rel=1e-9)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_closed_windows_agree_with_the_whole_history(seed: int) -> None:
    run = OracleRun(seed)
    history = run.go()
    reported = last_windows(run.line.events)
    windows = {key: data for key, data in reported.items() if key[0] != "job"}
    for data in windows.values():
        assert data.window_end is not None
        agrees(data, history.within(millis(data.window_start), millis(data.window_end)))
    for job, spans in run.jobs.items():
        if job != run.running:
            truth = history.within(0, history.until, only=[(start, end) for start, end in spans])
            agrees(reported["job", job], truth)
    hours = {data.window_start for key, data in windows.items() if key[0] == "hour"}
    opened = history.states[0][0]
    for start in range(opened // HOUR * HOUR, history.until - HOUR + 1, HOUR):
        truth = history.within(start, start + HOUR)
        if truth.busy_ms or truth.down_ms or truth.unknown_ms or truth.total:
            assert any(millis(hour) == start for hour in hours), "an hour with events was not reported"


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_downtimes_agree_with_the_whole_history(seed: int) -> None:
    """And so planned busy time less production time is the sum of downtimes."""
    run = OracleRun(seed)
    history = run.go()
    reported = {data.downtime_id: data for data in run.line.downtimes()}
    downtimes = [
        (millis(data.started_at), history.until if data.ended_at is None else millis(data.ended_at))
        for data in reported.values()
    ]
    assert downtimes == history.downtimes()


def test_a_window_that_closed_during_a_stop_is_reported_again_as_history() -> None:
    """The stop crosses the micro-stop threshold in the next hour: its time leaves APT of the hour before, too."""
    run = OracleRun(0)
    run.at = 3_570.0
    run.report("run")
    run.at = 3_580.0
    run.report("stop")
    run.line.wait(3_700)
    hours = [event for event in run.line.of(EventType.OEE_UPDATE) if event.subject == "hour"]
    revised = [event for event in hours if event.standing is Standing.HISTORY]
    assert len(revised) == 1
    data = revised[0].data
    assert isinstance(data, event_data.Oee)
    assert (data.planned_busy_seconds, data.actual_production_seconds) == (30.0, 10.0)
    first = next(event.data for event in hours if isinstance(event.data, event_data.Oee) and event.data.closed)
    assert isinstance(first, event_data.Oee)
    assert first.actual_production_seconds == 30.0
