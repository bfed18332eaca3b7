"""The simulated plant and the bridge meet in the contract: same ids, nothing quarantined, all 13 events come of it."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bridge.adapters import plant_file as bridge_plant_file
from bridge.domain.events import EventType
from bridge.domain.line.equipment import packml as bridge_packml
from bridge.domain.line.line import Line
from bridge.domain.reports import AndonReport, CountsReport, Disposition, Effect, MeasurementReport, Report, StateReport
from bridge.ingest.native import decode
from device_sim.plant import packml as simulated_packml
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.plant_file import SHIPPED as SIMULATED_FILE
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START, encoded

DEMO_FILE = Path(__file__).parents[2] / "bridge" / "demo" / "plant.toml"
DEMO = bridge_plant_file.load(DEMO_FILE)
BAGGER_INFORMATION = {29, 43, 47, 48, 57, 58, 59}


def everything(seed: int, minutes: float) -> list[Report | Disposition]:
    """Decode every report of the plant's first minutes, births and deaths included, like the pipeline."""
    plant = SimulatedPlant(SHIPPED, seed=seed, start=START)
    births = [message for device in plant.devices for message in plant.birth_messages(device)]
    life = plant.step(START + round(minutes * MINUTE))
    deaths = [plant.death_message(device) for device in plant.devices]
    return [
        decode(topic, payload, received_at=at, cause=f"input:{number}", retained=False)
        for number, (at, topic, payload) in enumerate(encoded([*births, *life, *deaths]), start=1)
    ]


def reports(seed: int, minutes: float) -> list[Report]:
    return [report for report in everything(seed, minutes) if isinstance(report, Report)]


def test_both_plant_files_name_the_same_floor() -> None:
    simulated = {
        (SHIPPED.site, line.area, line.id): [device for of, device in SHIPPED.devices() if of is line]
        for line in SHIPPED.lines
    }
    configured = {
        (DEMO.place_of(line).site, line.area, line.id): [machine.id for machine in line.equipment]
        for line in DEMO.lines
    }
    assert simulated == configured


def test_the_plant_has_the_size_the_demo_promises() -> None:
    assert len(DEMO.areas) == 2
    assert len(DEMO.lines) == 4
    kinds = Counter(equipment.kind for line in DEMO.lines for equipment in line.equipment)
    assert kinds == {"plc": 10, "station": 5}


def test_the_shifts_cover_the_day() -> None:
    windows = [DEMO.shift_plan.window_at(START + hour * 60 * MINUTE) for hour in range(48)]
    assert all(window.is_scheduled for window in windows)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_message_decodes_with_no_field_unknown(seed: int) -> None:
    decoded = everything(seed, 45)
    assert [report for report in decoded if isinstance(report, Disposition)] == []
    assert [report for report in decoded if isinstance(report, Report) and report.unknown_fields] == []
    kinds = {type(report.body).__name__ for report in decoded if isinstance(report, Report)}
    assert len(kinds) == 9  # every kind of docs/devices.md but `downtime`, which needs an id only the bridge knows


MACHINES = {equipment.id for line in DEMO.lines for equipment in line.equipment if equipment.kind == "plc"}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_bridge_makes_all_13_events_of_it_in_order_and_refuses_nothing(seed: int) -> None:
    """But for a machine's panel after a long stop: whether the machine had called by itself is not seen there."""
    lines = {line.id: Line(DEMO, line) for line in DEMO.lines}
    counts: Counter[EventType] = Counter()
    latest = dict.fromkeys(lines, 0)
    for report in reports(seed, 30):
        outcome = lines[report.place.line].apply(report, report.received_at)
        assert outcome.disposition.effect is not Effect.QUARANTINED, (report, outcome.disposition)
        at_a_panel = report.place.equipment in MACHINES and outcome.disposition.reason == "unknown_call"
        assert at_a_panel or not outcome.disposition.rejected, (report, outcome.disposition)
        for event in outcome.events:
            counts[event.type] += 1
            assert event.timestamp >= latest[event.place.line]
            latest[event.place.line] = event.timestamp
    assert set(counts) == set(EventType)


def test_facts_in_both_plant_files_agree() -> None:
    for simulated in SHIPPED.lines:
        line = next(candidate for candidate in DEMO.lines if candidate.id == simulated.id)
        assert set(simulated.products) <= {product.id for product in DEMO.products}
        for machine in simulated.machines:
            equipment = line.find_equipment(machine.id)
            assert equipment is not None
            assert equipment.packml_dialect == machine.packml
            assert equipment.rated_speed == pytest.approx(60 / machine.cycle_seconds, abs=0.1)
            if machine.parameter is not None:
                limit = next(candidate for candidate in line.limits if candidate.parameter == machine.parameter.name)
                assert limit.unit == machine.parameter.unit
                middle = machine.parameter
                assert (limit.lower, limit.upper) == pytest.approx(
                    (middle.center - middle.tolerance, middle.center + middle.tolerance)
                )
        for station in simulated.stations:
            equipment = line.find_equipment(station.id)
            assert equipment is not None
            assert equipment.input == ("latching" if station.form == "latching" else "momentary")
            assert set(station.andon_types) <= set(equipment.andon_types or station.andon_types)


def test_counters_name_the_registers_they_read() -> None:
    widths = {machine.id: machine.counter for line in SHIPPED.lines for machine in line.machines}
    for line in DEMO.lines:
        for equipment in line.equipment:
            if equipment.counters.modulus is not None:
                assert equipment.counters.modulus == 2 ** int(
                    widths[equipment.id].removeprefix("u").removeprefix("int")
                )


def test_the_catalogue_of_bagger_1_has_64_bits_and_its_information_is_no_fault() -> None:
    bagger = DEMO.lines[0].find_equipment("Bagger-1")
    assert bagger is not None
    assert [fault.bit for fault in bagger.faults] == list(range(64))
    assert {fault.bit for fault in bagger.faults if fault.kind == "information"} == BAGGER_INFORMATION
    simulated = next(machine for machine in SHIPPED.lines[0].machines if machine.id == "Bagger-1")
    assert set(simulated.information_bits) == BAGGER_INFORMATION
    stopping = {fault.bit for fault in bagger.faults if fault.kind == "fault" and fault.stops}
    assert {fault.bit for fault in simulated.faults} <= stopping


def test_the_plant_shows_the_variety_of_a_floor() -> None:
    """Names the situations that dashboards and the bridge must cope with, so that nobody tunes them away."""
    payloads = reports(1, 45)
    states = [report.body for report in payloads if isinstance(report.body, StateReport)]
    assert {state.packml.dialect for state in states if state.packml is not None} == {"tr88", "tmc"}
    assert any(state.fault_bits for state in states)
    assert any(state.fault_codes for state in states)
    assert any(state.reason_code for state in states)
    assert any(state.planned_stop for state in states)
    assert any(state.upstream_stop for state in states)
    assert any(state.downstream_stop for state in states)
    counts = [report.body for report in payloads if isinstance(report.body, CountsReport)]
    assert min(count.total for count in counts if count.total is not None) < 0
    assert {count.modulus for count in counts} == {None, 65_536}
    presses = [report.body for report in payloads if isinstance(report.body, AndonReport)]
    assert any(press.input is not None for press in presses)
    assert {"raise", "acknowledge", "arrive", "resolve"} <= {press.action for press in presses}
    assert len({report.body.parameter for report in payloads if isinstance(report.body, MeasurementReport)}) == 4


def test_bridge_and_simulator_number_packml_states_equally() -> None:
    """Two tables, written apart: a slip in one of them would show machines suspended that run."""
    for dialect, numbers in simulated_packml.NUMBER.items():
        assert {number: name.lower() for name, number in numbers.items()} == bridge_packml.STATES[dialect]


def test_the_simulators_file_explains_every_tag_by_a_field() -> None:
    tree: dict[str, Any] = tomllib.loads(SIMULATED_FILE.read_text())
    fields = {*StateReport.__struct_fields__, *CountsReport.__struct_fields__}
    for line in tree["lines"]:
        for machine in line["machines"]:
            measured = {"fill_weight", "pressure", "torque"}
            assert set(machine["tags"]) <= fields | measured
