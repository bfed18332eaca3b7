"""Absences of the bridge in random histories, compared with the oracle of the whole history."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import event_data, plant
from tests.domain.line.buffered_bagger import BufferedBagger
from tests.domain.line.oracles import oee as oracle
from tests.domain.line.output.test_oee_oracle import SCHEDULED, last_windows, millis
from tests.support.packing_line import T0, PackingLine, line_spec, plant_file


class PartlyWatchedMachine:
    """A seeded history of one machine, of which stretches are not watched; every report reaches the bridge."""

    def __init__(self, seed: int) -> None:
        rnd = self.random = random.Random(seed)
        machine = plant.EquipmentConfig(
            id="bagger", clock="device", counters=plant.CounterRule(max_rate_per_minute=1_000_000)
        )
        self.line = PackingLine(plant_file(line_spec(equipment=[machine], ideal_cycle_seconds=2.0)))
        self.bagger = BufferedBagger(self.line)
        self.at = rnd.choice((0.0, 3_500.0, 11.9 * 3_600, 11.99 * 3_600, 19.9 * 3_600)) + rnd.randrange(400)
        self.states: list[tuple[int, str]] = []

    def report(self, state: str) -> None:
        self.bagger.state("running" if state == "run" else "stopped", self.at)
        if self.states and self.states[-1][0] == T0 + round(self.at * 1000):
            self.states.pop()
        self.states.append((T0 + round(self.at * 1000), state))

    def go(self, *, restart: bool = False) -> oracle.LineTimeline:
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
        return oracle.LineTimeline(self.states, T0 + round(self.at * 1000), SCHEDULED, [])

    def come_back(self, *, restart: bool) -> None:
        assert self.bagger.absence is not None
        self.bagger.absence = (self.bagger.absence[0], self.at)
        self.bagger.reconnect()
        self.at += 1
        if restart:
            self.line.restart()

    def change(self) -> None:
        self.report(self.random.choice(("run", "stop")))

    def count(self) -> None:
        self.bagger.counts(self.random.randrange(50), self.at)


@given(seed=st.integers(0, 2**32), restart=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_an_absence_with_all_reports_kept_loses_no_time(seed: int, restart: int) -> None:
    """Windows and downtimes are those of the whole history, as one who watched all of it would have them."""
    run = PartlyWatchedMachine(seed)
    history = run.go(restart=bool(restart))
    reported = last_windows(run.line.events)
    for data in reported.values():
        assert data.window_end is not None
        truth = history.within(millis(data.window_start), millis(data.window_end))
        agrees_in_time(data, truth)
        assert data.unknown_count == 0, "its pieces came back with the time"
    last = {data.downtime_id: data for data in run.line.downtimes()}
    downtimes = sorted(
        (millis(data.started_at), history.until if data.ended_at is None else millis(data.ended_at))
        for data in last.values()
    )
    assert downtimes == history.downtimes()


def agrees_in_time(reported: event_data.Oee, truth: oracle.OeeResult) -> None:
    assert reported.actual_production_seconds == truth.busy_ms / 1000
    assert reported.planned_busy_seconds == (truth.busy_ms + truth.down_ms) / 1000
    assert reported.unknown_seconds == truth.unknown_ms / 1000
