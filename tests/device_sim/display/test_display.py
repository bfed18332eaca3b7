"""Lines that the simulator prints: each change and action once, and a lost broker once instead of once per device."""

import io

from rich.console import Console

from device_sim.display.lines import LineDisplay, ReportFormatter, format_bits, time_of_day
from device_sim.display.table import TableDisplay
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START, live


def state(**body: object) -> ReportMessage:
    return ReportMessage(START, "Bagger-1", "state", "report/s/a/l/Bagger-1/state", body)


def test_a_state_is_shown_when_it_changes() -> None:
    formatter = ReportFormatter()
    assert formatter.format_report(state(state="running")) == f"{time_of_day(START)} Bagger-1: running"
    assert formatter.format_report(state(state="running", speed=3)) is None
    sentence = formatter.format_report(state(state="fault", fault_bits="0000000000000108"))
    assert sentence is not None
    assert sentence.endswith("fault (bits 3 8)")


def test_counts_and_acting_states_are_not_shown() -> None:
    sentences = [
        ReportFormatter().format_report(message) for message in live(1, 5) if message.kind in ("counts", "measurement")
    ]
    assert set(sentences) == {None}
    assert ReportFormatter().format_report(state(packml={"dialect": "tr88", "state": 3})) is None


def test_every_message_of_an_hour_can_be_shown() -> None:
    formatter = ReportFormatter()
    sentences = [sentence for message in live(2, 60) if (sentence := formatter.format_report(message)) is not None]
    assert len(sentences) > 200


def test_bits_are_named_from_the_lowest() -> None:
    assert format_bits("8000000000000001") == "0 63"


def test_a_broker_that_goes_and_comes_is_shown_once() -> None:
    out = io.StringIO()
    lines = LineDisplay(out)
    for online in (True, False, False, True):
        for device in ("A", "B"):
            lines.show_link(device, online=online)
    assert out.getvalue().splitlines() == [
        "connection to the broker lost; reconnecting",
        "the broker is back; all devices are connected",
    ]


def test_the_table_shows_lines_machines_counts_and_lamps() -> None:
    plant = SimulatedPlant(SHIPPED, seed=1, start=START)
    table = TableDisplay(plant, "test")
    for device in plant.devices:
        table.show_link(device, online=True)
    for message in plant.step(START + 20 * MINUTE):
        table.show_report(message)
    table.show_lamp("Andon-L1", "quality", "open")
    table.show_lamp("Andon-L1", "material", "off")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    for device in plant.devices:
        assert device in text
    assert "● quality open" in text
    assert "● material" not in text
    assert str(plant.lines[0].flow.machines[1].total) in text
    assert "devices offline" not in text


def test_a_planned_loss_is_printed_as_what_it_is_and_not_as_a_broker_that_is_gone() -> None:
    out = io.StringIO()
    lines = LineDisplay(out)
    lines.show_note(START, "Bagger-1: connection lost")
    lines.show_link("Bagger-1", online=False, planned=True)
    lines.show_link("Bagger-1", online=True)
    assert out.getvalue().splitlines() == [f"{time_of_day(START)} ! Bagger-1: connection lost"]
