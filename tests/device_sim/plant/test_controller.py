"""A controller reports its state on change and every minute, its counts while they change, and PackML by the tables."""

from typing import Any

from device_sim.plant import packml
from device_sim.plant.controller import Controller
from device_sim.plant.machine import ENDLESS, Condition, Demand, SimulatedMachine
from device_sim.plant.quality import InspectionSampler, MeasuredParameter
from device_sim.plant_file import InspectionSpec, ParameterSpec
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import SECOND
from tests.device_sim.sample_plants import machine_spec


class Bench:
    """One machine with its controller, ticked together; collects the reports."""

    def __init__(self, **changes: Any) -> None:
        self.machine = SimulatedMachine(machine_spec(**changes), SeededRandom(1, "M"), 0)
        self.controller = Controller(self.machine, None, None, SeededRandom(1, "C"), 0)
        self.second = 0

    def run(self, seconds: int, demand: Demand = Demand.RUN, supply: int = ENDLESS, room: int = ENDLESS) -> list[Any]:
        reports: list[Any] = []
        for _ in range(seconds):
            self.second += 1
            self.machine.tick(self.second * SECOND, demand=demand, supply=supply, room=room)
            reports += self.controller.reports(self.second * SECOND)
        return reports

    def state(self, seconds: int, demand: Demand = Demand.RUN, supply: int = ENDLESS, room: int = ENDLESS) -> Any:
        """Return the last state reported within so many seconds."""
        return [body for kind, body in self.run(seconds, demand, supply, room) if kind == "state"][-1]


def test_a_steady_state_is_reported_once_a_minute_and_counts_every_ten_seconds() -> None:
    bench = Bench()
    bench.run(60)
    kinds = [kind for kind, _ in bench.run(120)]
    assert kinds.count("state") == 2
    assert kinds.count("counts") == 12


def test_unchanged_counts_are_reported_once_a_minute() -> None:
    bench = Bench()
    bench.run(60)
    bench.run(15, Demand.NOTHING)
    assert [kind for kind, _ in bench.run(120, Demand.NOTHING)].count("counts") == 2


def test_waiting_is_reported_with_its_side_and_a_break_as_planned() -> None:
    bench = Bench()
    bench.run(5)
    assert bench.state(7, supply=0)["upstream_stop"] is True
    assert bench.state(7, room=0)["downstream_stop"] is True
    assert bench.state(1, Demand.BREAK)["planned_stop"] is True


def test_a_fault_word_holds_the_faults_and_the_waiting() -> None:
    bench = Bench(faults=[{"bit": 3}], starved_bit=20, mean_minutes_between_faults=0.2)
    while bench.machine.condition is not Condition.FAULT:
        bench.run(1)
    assert bench.controller.current_reports()[0][1]["fault_bits"] == "0000000000000008"
    bench = Bench(faults=[{"bit": 3}], starved_bit=20)
    bench.run(9, supply=0)
    assert bench.controller.current_reports()[0][1]["fault_bits"] == "0000000000100000"


def test_packml_passes_through_the_acting_states() -> None:
    bench = Bench(packml="tr88")
    states = [body["packml"]["state"] for kind, body in bench.run(3) if kind == "state"]
    assert [packml.TR88[state - 1] for state in states] == ["Starting", "Execute"]
    states = [body["packml"]["state"] for kind, body in bench.run(9, room=0) if kind == "state"]
    assert [packml.TR88[state - 1] for state in states] == ["Suspending", "Suspended"]


def test_a_changeover_is_mode_4_and_the_dialects_number_differently() -> None:
    for dialect, stopped in (("tr88", 2), ("tmc", 0)):
        bench = Bench(packml=dialect)
        bench.run(3)
        assert bench.state(2, Demand.SETUP)["packml"] == {"dialect": dialect, "state": stopped, "mode": 4}


def test_a_parameter_drifts_out_and_is_corrected() -> None:
    spec = ParameterSpec(name="p", unit="g", center=100, tolerance=5, sigma=0.1, minutes_to_limit=5)
    parameter = MeasuredParameter(spec, SeededRandom(1, "p"))
    out = []
    for second in range(3_600):
        parameter.tick(second * SECOND, running=True)
        out.append(parameter.is_out_of_limits)
    assert any(out)
    returns = [second for second in range(1, len(out)) if out[second - 1] and not out[second]]
    assert returns
    assert abs(parameter.measure() - 100) < 20


def test_a_parameter_of_a_standing_machine_stays() -> None:
    spec = ParameterSpec(name="p", unit="g", center=100, tolerance=5, sigma=0.0001, minutes_to_limit=1)
    parameter = MeasuredParameter(spec, SeededRandom(1, "p"))
    before = parameter.measure()
    for second in range(3_600):
        parameter.tick(second * SECOND, running=False)
    assert abs(parameter.measure() - before) < 0.01


def test_a_bad_spell_brings_defects() -> None:
    spec = InspectionSpec(parameter="p", sample=20, defect_ratio=0.0, bad_defect_ratio=0.5, mean_minutes_between_bad=10)
    inspection = InspectionSampler(spec, SeededRandom(1, "p"), 0)
    defects = [inspection.count_defects(minute * 60 * SECOND) for minute in range(60)]
    assert 0 in defects
    assert max(defects) >= 4
