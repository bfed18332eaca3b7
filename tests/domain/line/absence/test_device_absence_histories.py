"""Absences of devices in random histories, compared with the oracle of the whole history."""

from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from bridge.domain import event_data, plant
from tests.domain.line.absence.absent_devices import ORDERS, BufferingDevice, last_of
from tests.domain.line.absence.random_machine import RandomMachine, agrees_in_time
from tests.domain.line.output.test_oee_oracle import last_windows, millis
from tests.support.packing_line import PackingLine, line_spec, plant_file

FAST = plant.CounterRule(max_rate_per_minute=1_000_000)


class OfflineMachine(RandomMachine):
    """The machine is offline for stretches, and buffers its reports (`keeps`) or loses them."""

    def __init__(self, seed: int, order: str = "in order", *, clock: str = "device", keeps: bool = True) -> None:
        config = plant.EquipmentConfig.model_validate(
            {"id": "bagger", "clock": clock, "ideal_cycle_seconds": 1.0, "counters": FAST}
        )
        line = PackingLine(plant_file(line_spec(equipment=[config])))
        self.bagger = BufferingDevice(line)
        self._order = order
        self._keeps = keeps
        super().__init__(seed, line, self.bagger)

    @property
    @override
    def is_absent(self) -> bool:
        return self.bagger.buffered is not None

    @override
    def begin_absence(self) -> None:
        self.bagger.disconnect(self.at)
        self.at += 1

    @override
    def end_absence(self) -> None:
        buffered = range(len(self.bagger.buffered or []))
        self.bagger.seq += 0 if self._keeps else 1
        self.bagger.reconnect(self.at, order=self._order, lost=[] if self._keeps else buffered)
        self.at += 1 if self._keeps else 7


@given(seed=st.integers(0, 2**32), order=st.sampled_from(ORDERS), restart=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_device_absence_with_all_reports_kept_loses_no_time(seed: int, order: str, *, restart: bool) -> None:
    machine = OfflineMachine(seed, order)
    line, history = machine.line, machine.run(restart=restart)
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
        machine = OfflineMachine(seed, clock=clock, keeps=False)
        line, history = machine.line, machine.run()
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
