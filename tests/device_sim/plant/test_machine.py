"""A machine makes pieces at its pace, stops by its nature, and waits for its neighbours before it complains."""

from hypothesis import given, settings
from hypothesis import strategies as st

from device_sim.plant.machine import ENDLESS, Condition, Demand, SimulatedMachine
from device_sim.plant.material_flow import MaterialFlow
from device_sim.plant.registers import wrap_count
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import SECOND
from tests.device_sim.sample_plants import machine_spec


def condition(machine: SimulatedMachine) -> Condition:
    return machine.condition


def run(machine: SimulatedMachine, seconds: int, *, start: int = 0, supply: int = ENDLESS, room: int = ENDLESS) -> int:
    for second in range(seconds):
        machine.tick((start + second + 1) * SECOND, demand=Demand.RUN, supply=supply, room=room)
    return start + seconds


def test_a_machine_keeps_between_its_ideal_pace_and_an_eighth_less() -> None:
    machine = SimulatedMachine(machine_spec(cycle_seconds=2.0), SeededRandom(1, "M"), 0)
    run(machine, 1_000)
    assert 440 <= machine.total <= 500
    assert machine.good == machine.total


def test_it_makes_nothing_without_an_order() -> None:
    machine = SimulatedMachine(machine_spec(), SeededRandom(1, "M"), 0)
    machine.tick(SECOND, demand=Demand.NOTHING, supply=ENDLESS, room=ENDLESS)
    assert (machine.condition, machine.total, machine.speed) == (Condition.IDLE, 0, 0.0)


def test_it_calls_itself_starved_only_after_a_while_and_blocked_likewise() -> None:
    machine = SimulatedMachine(machine_spec(cycle_seconds=1.0), SeededRandom(1, "M"), 0)
    now = run(machine, 10)
    now = run(machine, 5, start=now, supply=0)
    assert condition(machine) is Condition.RUNNING
    now = run(machine, 1, start=now, supply=0)
    assert condition(machine) is Condition.STARVED
    now = run(machine, 1, start=now, supply=2)
    assert condition(machine) is Condition.STARVED
    now = run(machine, 1, start=now, supply=3)
    assert condition(machine) is Condition.RUNNING
    run(machine, 7, start=now, room=0)
    assert condition(machine) is Condition.BLOCKED


def test_a_broken_machine_stands_until_it_is_repaired() -> None:
    spec = machine_spec(mean_minutes_between_faults=0.2, repair_minutes=(1.0, 1.0))
    machine = SimulatedMachine(spec, SeededRandom(1, "M"), 0)
    now = 0
    while condition(machine) is not Condition.FAULT:
        now = run(machine, 1, start=now)
    made = machine.total
    assert machine.faults[0].code == "F1"
    now = run(machine, 59, start=now)
    assert (condition(machine), machine.total) == (Condition.FAULT, made)
    run(machine, 1, start=now)
    assert condition(machine) is Condition.RUNNING
    assert machine.faults == ()


def test_a_repaired_machine_that_has_to_wait_shows_no_fault() -> None:
    spec = machine_spec(mean_minutes_between_faults=0.2, repair_minutes=(1.0, 1.0))
    machine = SimulatedMachine(spec, SeededRandom(1, "M"), 0)
    now = 0
    while condition(machine) is not Condition.FAULT:
        now = run(machine, 1, start=now)
    run(machine, 61, start=now, supply=0)
    assert condition(machine) is not Condition.FAULT


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.sampled_from((0.7, 1.0, 2.3)), min_size=2, max_size=4))
def test_no_machine_counts_more_than_was_passed_to_it(seed: int, cycles: list[float]) -> None:
    machines = [
        SimulatedMachine(
            machine_spec(
                id=f"M{index}",
                cycle_seconds=cycle,
                buffer=5,
                reject_ratio=0.1,
                mean_minutes_between_faults=1.0,
                mean_minutes_between_jams=1.0,
            ),
            SeededRandom(seed, f"M{index}"),
            0,
        )
        for index, cycle in enumerate(cycles)
    ]
    flow = MaterialFlow(machines)
    for second in range(1, 600):
        flow.tick(second * SECOND, demand=Demand.RUN, has_material=second % 200 > 40)
        for upstream, downstream, between in zip(machines, machines[1:], flow.between, strict=False):
            assert downstream.total + between == upstream.good  # taken and waiting is all that was passed
            assert 0 <= between <= 5
            assert upstream.good + upstream.reject == upstream.total
    assert machines[0].total > 0


def test_what_stands_between_the_machines_leaves_with_the_old_product() -> None:
    flow = MaterialFlow(
        [
            SimulatedMachine(machine_spec(id="A"), SeededRandom(1, "A"), 0),
            SimulatedMachine(machine_spec(id="B"), SeededRandom(1, "B"), 0),
        ]
    )
    flow.between[0] = 4
    flow.change_product("next", startup_rejects=True)
    assert flow.between == [0]
    assert [machine.product for machine in flow.machines] == ["next", "next"]


@given(st.integers(0, 2**40), st.sampled_from(("int16", "uint16", "int32", "uint32")))
def test_a_register_shows_the_count_modulo_its_width(count: int, width: str) -> None:
    bits = int(width.removeprefix("u").removeprefix("int"))
    register = wrap_count(count, width)  # type: ignore[arg-type]  # hypothesis widens the literals
    assert (register - count) % 2**bits == 0
    low = 0 if width.startswith("u") else -(2 ** (bits - 1))
    assert low <= register < low + 2**bits


def test_a_signed_word_goes_from_its_highest_to_its_lowest() -> None:
    assert [wrap_count(count, "int16") for count in (32_767, 32_768, 65_535, 65_536)] == [32_767, -32_768, -1, 0]
