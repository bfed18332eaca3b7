"""The text output of `floor watch`: a line for each event, each change of the link and each outage."""

import json
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

Frame = dict[str, Any]

STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}
DETAIL_FIELDS: Final = (
    "status", "cause", "andon_type", "level", "window", "oee", "unknown_seconds", "unknown_count", "good_count",
    "reject_count", "product", "job_id", "parameter", "value", "to_product", "outcome", "reason_code",
    "duration_seconds",
)  # fmt: skip
UNREMARKABLE_QUALITY: Final = {"clock": "receive"}  # values in data_quality that are not shown
PROMINENT_QUALITY: Final = {"stale": "STALE"}  # fields of data_quality that must not be overlooked (P5)


def line_printer(console: Console) -> Callable[[Frame], None]:
    """Return an `on_frame` callback that prints a line for each event and for each change of the link."""
    return _LinePrinter(console).show


class _LinePrinter:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._was_connected = False
        self._is_lost = False  # an outage is printed once, however many attempts to connect fail in it
        self._printed_advice: set[str] = set()

    def show(self, frame: Frame) -> None:
        if frame["type"] == "link_lost":
            self._show_lost(frame)
            return
        self._was_connected, self._is_lost = True, False
        self._printed_advice.clear()
        if "offset" in frame:
            self._print(_format_event(frame))
        elif frame["type"] == "link":
            self._print(_format_link(frame))
        elif frame["type"] == "conflated":
            self._print(f"[dim]{escape(_format_conflated(frame['counts']))}[/]")
        elif frame["type"] == "error":
            self._print(f"[yellow]error[/] {escape(_format_error(frame))}")
        elif frame["type"] in ("revoked", "expiring"):
            details = {name: value for name, value in frame.items() if name != "type"}
            self._print(f"[yellow]{frame['type']}[/] {escape(json.dumps(details))}")
        elif frame["type"] == "subscription_confirmed":
            self._print(f"[green]subscribed[/] {escape(', '.join(frame['effective']))}")

    def _show_lost(self, frame: Frame) -> None:
        advice = frame.get("advice")
        if not self._is_lost:
            what = "connection lost" if self._was_connected else "no connection"
            self._print(f"[yellow]{what}; reconnecting[/] ({escape(advice or frame['reason'])})")
        elif advice is not None and advice not in self._printed_advice:
            self._print(f"[yellow]{escape(advice)}[/]")
        self._is_lost = True
        if advice is not None:
            self._printed_advice.add(advice)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _format_conflated(counts: dict[str, int]) -> str:
    return f"(superseded and not sent: {', '.join(f'{count} {name}' for name, count in counts.items())})"


def _format_error(frame: Frame) -> str:
    """Return `andon:L1: the message (CODE; what=more)`."""
    about = "" if frame.get("id") is None else f"{frame['id']}: "
    more = "".join(f"; {name}={_format_value(value)}" for name, value in (frame.get("detail") or {}).items())
    return f"{about}{frame['message']} ({frame['code']}{more})"


def _format_event(frame: Frame) -> str:
    where = "/".join(filter(None, (frame["area"], frame["line_id"], frame["equipment_code"])))
    words = [f"[dim]{frame['timestamp'][11:19]}Z[/]", f"[{STYLES[frame['priority']]}]{frame['type']:<20}[/]"]
    words.append(f"{escape(where):<34}")
    if frame["subject"] != "_":
        words.append(escape(frame["subject"]))
    data = frame["data"]
    words += [escape(f"{name}={_format_value(data[name])}") for name in DETAIL_FIELDS if data.get(name) is not None]
    if doubts := _format_quality(frame["data_quality"]):
        words.append(f" {doubts}")
    return " ".join(words)


def _format_quality(quality: dict[str, Any]) -> str:
    """Return what limits the trust in an event, prominent fields first; includes fields that a later version adds."""
    limits = {
        name: value
        for name, value in quality.items()
        if value is not None and value is not False and value != UNREMARKABLE_QUALITY.get(name)
    }
    names = sorted(limits, key=lambda name: name not in PROMINENT_QUALITY)
    return " ".join(
        f"[bold red]{PROMINENT_QUALITY[name]}[/]"
        if name in PROMINENT_QUALITY
        else f"[yellow]{escape(_format_field(name, limits[name]))}[/]"
        for name in names
    )


def _format_field(name: str, value: object) -> str:
    return name if value is True else f"{name}={_format_value(value)}"


def _format_value(value: object) -> str:
    """Return a value as text; a float with three decimals at most, as on the board."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _format_link(frame: Frame) -> str:
    if not frame["broker"]:
        return "[red]not live[/] the bridge has lost the broker"
    stale = [name for name, stream in frame["streams"].items() if not stream["live"]]
    return f"[red]not live[/] {escape(', '.join(stale))}" if stale else "[green]live[/]"
