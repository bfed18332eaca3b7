"""The interface of the output of a run, and the one that shows nothing."""

from typing import Protocol

from device_sim.reports import ReportMessage
from device_sim.time_units import Millis


class Display(Protocol):
    """The output of a run: reports, lamps, connections and notes."""

    def show_report(self, message: ReportMessage) -> None: ...

    def show_lamp(self, station: str, andon_type: str, state: str) -> None: ...

    def show_link(self, device: str, *, online: bool, planned: bool = False) -> None: ...

    def show_note(self, at: Millis, text: str) -> None: ...


class NullDisplay:
    """Shows nothing."""

    def show_report(self, message: ReportMessage) -> None: ...

    def show_lamp(self, station: str, andon_type: str, state: str) -> None: ...

    def show_link(self, device: str, *, online: bool, planned: bool = False) -> None: ...

    def show_note(self, at: Millis, text: str) -> None: ...
