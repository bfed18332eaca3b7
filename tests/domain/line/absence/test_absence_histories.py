"""Absences of the bridge in random histories, compared with the oracle of the whole history."""

from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from bridge.domain import plant
from tests.domain.line.absence.random_machine import RandomMachine, agrees_in_time
from tests.domain.line.buffered_bagger import BufferedBagger
from tests.domain.line.output.test_oee_oracle import last_windows, millis
from tests.support.packing_line import PackingLine, line_spec, plant_file


class UnobservedMachine(RandomMachine):
    """The bridge is absent for stretches, in which the broker keeps every report."""

    def __init__(self, seed: int) -> None:
        config = plant.EquipmentConfig(
            id="bagger", clock="device", counters=plant.CounterRule(max_rate_per_minute=1_000_000)
        )
        line = PackingLine(plant_file(line_spec(equipment=[config], ideal_cycle_seconds=2.0)))
        self.bagger = BufferedBagger(line)
        super().__init__(seed, line, self.bagger)

    @property
    @override
    def is_absent(self) -> bool:
        return self.bagger.absence is not None

    @property
    @override
    def may_return(self) -> bool:
        return self.bagger.absence is not None and self.at - self.bagger.absence[0] > 10

    @override
    def begin_absence(self) -> None:
        self.bagger.absence = (round(self.at - self.random.choice((0, 0.3)), 3), 0)

    @override
    def end_absence(self) -> None:
        assert self.bagger.absence is not None
        self.bagger.absence = (self.bagger.absence[0], self.at)
        self.bagger.reconnect()
        self.at += 1


@given(seed=st.integers(0, 2**32), restart=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_an_absence_with_all_reports_kept_loses_no_time(seed: int, restart: int) -> None:
    """Windows and downtimes are those of the whole history, as one who watched all of it would have them."""
    machine = UnobservedMachine(seed)
    history = machine.run(restart=bool(restart))
    reported = last_windows(machine.line.events)
    for data in reported.values():
        assert data.window_end is not None
        truth = history.within(millis(data.window_start), millis(data.window_end))
        agrees_in_time(data, truth)
        assert data.unknown_count == 0, "its pieces came back with the time"
    last = {data.downtime_id: data for data in machine.line.downtimes()}
    downtimes = sorted(
        (millis(data.started_at), history.until if data.ended_at is None else millis(data.ended_at))
        for data in last.values()
    )
    assert downtimes == history.downtimes()
