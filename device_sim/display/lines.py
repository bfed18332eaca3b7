"""The output of a run as lines of text: state changes and actions of people, not every count."""

from collections.abc import Callable
from typing import Any, Final, TextIO

from device_sim.plant import packml
from device_sim.reports import ReportMessage
from device_sim.time_units import Millis

PACKML_NAME: Final = {
    dialect: {number: name for name, number in numbers.items()} for dialect, numbers in packml.NUMBER.items()
}
ACTING: Final = frozenset(
    {*packml.TR88} - {*packml.STEADY.values()} - {"Complete"}
)  # transitional states, over within a second


def time_of_day(at: Millis) -> str:
    """Render the time of day, UTC: `06:00:12`."""
    seconds = at // 1_000 % 86_400
    return f"{seconds // 3_600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


class ReportFormatter:
    """Formats messages as sentences; remembers states, so that only changes are shown."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def format_report(self, message: ReportMessage) -> str | None:
        text = self._format_body(message)
        return None if text is None else f"{time_of_day(message.at)} {message.device}: {text}"

    def _format_body(self, message: ReportMessage) -> str | None:
        body: Any = message.body
        match message.kind:
            case "state":
                return self._format_state(message.device, body)
            case "andon" if "action" in body:
                operator = f" by {body['operator']}" if "operator" in body else ""
                return f"{body['action']} {body['andon_type']}{operator}"
            case "andon":
                return f"{body['andon_type']} input {'on' if body['input'] else 'off'}"
            case "job":
                detail = f", {body['target_quantity']} of {body['product']}" if body["action"] == "assign" else ""
                return f"{body['action']} order {body['job_id']}{detail}"
            case "changeover":
                return f"changeover to {body['to_product']}"
            case _:
                return None

    def _format_state(self, device: str, body: Any) -> str | None:
        state = body["state"] if "state" in body else PACKML_NAME[body["packml"]["dialect"]][body["packml"]["state"]]
        if state in ACTING:
            return None
        reasons = [flag for flag in ("upstream_stop", "downstream_stop", "planned_stop") if body.get(flag)]
        reasons += body.get("fault_codes", [])
        if state == "fault" and "fault_bits" in body:
            reasons.append(f"bits {format_bits(body['fault_bits'])}")
        text = f"{state} ({', '.join(reasons)})" if reasons else state
        if self._states.get(device) == text:
            return None
        self._states[device] = text
        return text


def format_bits(word: str) -> str:
    """Return the numbers of the bits set in a hexadecimal word: `3 20`."""
    value = int(word, 16)
    return " ".join(str(bit) for bit in range(value.bit_length()) if value >> bit & 1)


class LineDisplay:
    """Prints one line per event. Calls `on_closed` once the reader has closed the pipe: `device-sim run | head`."""

    def __init__(self, out: TextIO, on_closed: Callable[[], None] = lambda: None) -> None:
        self._out = out
        self._on_closed = on_closed
        self._is_open = True
        self._formatter = ReportFormatter()
        self._offline: set[str] = set()

    def show_report(self, message: ReportMessage) -> None:
        sentence = self._formatter.format_report(message)
        if sentence is not None:
            self._print(sentence)

    def show_lamp(self, station: str, andon_type: str, state: str) -> None:
        self._print(f"lamp {station} {andon_type}: {state}")

    def show_link(self, device: str, *, online: bool, planned: bool = False) -> None:
        """Print once that the broker is gone, and once that every device is connected again; not once per device."""
        if not online and planned:
            return
        if not online:
            if not self._offline:
                self._print("connection to the broker lost; reconnecting")
            self._offline.add(device)
        elif device in self._offline:
            self._offline.discard(device)
            if not self._offline:
                self._print("the broker is back; all devices are connected")

    def show_note(self, at: Millis, text: str) -> None:
        self._print(f"{time_of_day(at)} ! {text}")

    def _print(self, text: str) -> None:
        if not self._is_open:
            return
        try:
            print(text, file=self._out, flush=True)
        except BrokenPipeError:
            self._is_open = False
            self._on_closed()
