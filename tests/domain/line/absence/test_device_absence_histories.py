"""Absences of devices in random histories, compared with the oracle of the whole history."""

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import event_data, plant
from tests.domain.line.absence.absent_devices import (
    ORDERS,
    BufferingDevice,
    last_of,
)
from tests.domain.line.absence.test_absence_histories import agrees_in_time
from tests.domain.line.oracles import oee as oracle
from tests.domain.line.output.test_oee_oracle import SCHEDULED, last_windows, millis
from tests.support.packing_line import T0, PackingLine, line_spec, plant_file

FAST = plant.CounterRule(max_rate_per_minute=1_000_000)


@dataclass
class BufferedHistory:
    """A seeded history of one machine that disconnects repeatedly and buffers its reports."""

    seed: int
    order: str = "in order"
    clock: str = "device"
    keeps: bool = True

    def go(self, *, restart: bool = False) -> tuple[PackingLine, oracle.LineTimeline]:
        rnd = self.random = random.Random(self.seed)
        machine = plant.EquipmentConfig.model_validate(
            {"id": "bagger", "clock": self.clock, "ideal_cycle_seconds": 1.0, "counters": FAST}
        )
        self.line = PackingLine(plant_file(line_spec(equipment=[machine])))
        self.bagger = BufferingDevice(self.line)
        self.at = rnd.choice((0.0, 3_500.0, 11.9 * 3_600, 11.99 * 3_600, 19.9 * 3_600)) + rnd.randrange(400)
        self.states: list[tuple[int, str]] = []
        self.report("run")
        self.bagger.counts(0, self.at)
        for _ in range(rnd.randrange(10, 50)):
            self.at = round(self.at + rnd.choice((0.7, 5, 9.999, 10, 30, 59.999, 60, 61, 200, 2_000)), 3)
            if self.bagger.buffered is None and rnd.random() < 0.25:
                self.bagger.disconnect(self.at)
                self.at += 1
            elif self.bagger.buffered is not None and rnd.random() < 0.4:
                self.come_back(restart=restart)
            rnd.choice((self.change, self.change, self.count))()
        if self.bagger.buffered is not None:
            self.at += 20
            self.come_back(restart=restart)
        self.at = round(self.at + 30)
        self.report("run")
        self.at += 2 * 3_600
        self.line.wait(self.at)
        return self.line, oracle.LineTimeline(self.states, T0 + round(self.at * 1000), SCHEDULED, [])

    def report(self, signal: str) -> None:
        self.bagger.state("running" if signal == "run" else "stopped", self.at)
        if self.states and self.states[-1][0] == T0 + round(self.at * 1000):
            self.states.pop()
        self.states.append((T0 + round(self.at * 1000), signal))

    def come_back(self, *, restart: bool) -> None:
        buffered = range(len(self.bagger.buffered or []))
        self.bagger.seq += 0 if self.keeps else 1
        self.bagger.reconnect(self.at, order=self.order, lost=[] if self.keeps else buffered)
        self.at += 1 if self.keeps else 7
        if restart:
            self.line.restart()

    def change(self) -> None:
        self.report(self.random.choice(("run", "stop")))

    def count(self) -> None:
        self.bagger.counts(self.random.randrange(50), self.at)


@given(seed=st.integers(0, 2**32), order=st.sampled_from(ORDERS), restart=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_device_absence_with_all_reports_kept_loses_no_time(seed: int, order: str, *, restart: bool) -> None:
    line, history = BufferedHistory(seed, order).go(restart=restart)
    for data in last_windows(line.events).values():
        assert data.window_end is not None
        agrees_in_time(data, history.within(millis(data.window_start), millis(data.window_end)))
        assert data.unknown_count == 0, "its pieces came back with the time"
    downtimes = [data for data in last_of(line) if not data.micro_stop]
    reported = sorted((millis(data.started_at), _end(data, history.until)) for data in downtimes)
    assert reported == history.downtimes()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_without_a_backlog_all_becomes_what_it_is_without_a_trusted_clock(seed: int) -> None:
    reported = []
    for clock in ("device", "receive"):
        line, history = BufferedHistory(seed, clock=clock, keeps=False).go()
        windows = {
            key: (window.unknown_seconds, window.actual_production_seconds, window.planned_busy_seconds)
            for key, window in last_windows(line.events).items()
            if window.unknown_seconds or window.planned_busy_seconds  # an hour outside the plan may be reported again
        }
        last = {data.downtime_id: data for data in line.downtimes()}
        reported.append(
            (windows, sorted((downtime.started_at, _end(downtime, history.until)) for downtime in last.values()))
        )
    assert reported[0] == reported[1]


def _end(data: event_data.Downtime, until: int) -> int:
    return until if data.ended_at is None else millis(data.ended_at)
