"""A live table on the terminal: lines with their orders, machines with their counts, stations with their lamps."""

from collections import deque
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from device_sim.display.lines import ReportFormatter, time_of_day
from device_sim.plant.line import SimulatedLine
from device_sim.plant.machine import Condition, SimulatedMachine
from device_sim.plant.orders import OrderPhase
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage
from device_sim.time_units import Millis

LATEST: Final = 8  # sentences below the table

STYLE: Final[dict[Condition, str]] = {
    Condition.IDLE: "dim",
    Condition.SETUP: "cyan",
    Condition.BREAK: "dim",
    Condition.RUNNING: "green",
    Condition.JAMMED: "yellow",
    Condition.FAULT: "bold red",
    Condition.STARVED: "yellow",
    Condition.BLOCKED: "yellow",
    Condition.OFF: "dim",
}
LAMP_STYLE: Final = {"open": "bold red", "acknowledged": "yellow"}


class TableDisplay:
    """Draws the plant as a table; rich calls `__rich__` at every refresh."""

    def __init__(self, plant: SimulatedPlant, title: str) -> None:
        self._plant = plant
        self._title = title
        self._formatter = ReportFormatter()
        self._latest: deque[str] = deque(maxlen=LATEST)
        self._lamps: dict[tuple[str, str], str] = {}
        self._offline: set[str] = set(plant.devices)
        self._messages = 0

    def show_report(self, message: ReportMessage) -> None:
        self._messages += 1
        sentence = self._formatter.format_report(message)
        if sentence is not None:
            self._latest.append(sentence)

    def show_lamp(self, station: str, andon_type: str, state: str) -> None:
        self._lamps[station, andon_type] = state

    def show_link(self, device: str, *, online: bool, planned: bool = False) -> None:  # noqa: ARG002
        (self._offline.discard if online else self._offline.add)(device)

    def show_note(self, at: Millis, text: str) -> None:
        self._latest.append(f"{time_of_day(at)} ! {text}")

    def __rich__(self) -> RenderableType:
        title = f"{self._title}   {time_of_day(self._plant.now)} simulated   {self._messages} reports"
        if self._offline:
            title += f"   [bold red]{len(self._offline)} devices offline[/]"
        table = Table(title=title, title_justify="left", expand=True)
        for name in ("line", "device", "condition", "speed", "total", "good", "reject", "order, calls and lamps"):
            table.add_column(name, justify="right" if name in ("speed", "total", "good", "reject") else "left")
        for line in self._plant.lines:
            self._add_line(table, line)
        return Group(table, *(Text(line, style="magenta" if " ! " in line else "") for line in self._latest))

    def _add_line(self, table: Table, line: SimulatedLine) -> None:
        for index, machine in enumerate(line.flow.machines):
            offline = "offline" if machine.spec.id in self._offline else ""
            notes = (_order(line) if index == 0 else "", _faults(machine), offline)
            table.add_row(
                line.spec.id if index == 0 else "",
                machine.spec.id,
                Text(machine.condition.value, style=STYLE[machine.condition]),
                f"{machine.speed:g}",
                str(machine.total),
                str(machine.good),
                str(machine.reject),
                Text("  ".join(note for note in notes if note)),
            )
        for station in line.crew.stations:
            table.add_row("", station, "", "", "", "", "", self._calls(line, station))
        table.add_section()

    def _calls(self, line: SimulatedLine, station: str) -> Text:
        text = Text()
        for call in line.crew.calls:
            if call.station.spec.id == station:
                text.append(f"{call.cause.andon_type} {call.stage.value}  ")
        for (owner, andon_type), state in sorted(self._lamps.items()):
            if owner == station and state != "off":
                text.append(f"● {andon_type} {state}  ", style=LAMP_STYLE[state])
        return text


def _order(line: SimulatedLine) -> str:
    book = line.orders
    if book.running is None:
        return "no order"
    note = "" if book.phase is OrderPhase.RUN else f" ({book.phase.value})"
    return f"{book.running.id} {book.running.product}{note}"


def _faults(machine: SimulatedMachine) -> str:
    return ", ".join(fault.code or f"bit {fault.bit}" for fault in machine.faults)
