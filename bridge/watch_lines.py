"""Lines of `floor watch` for people: one for each event, each change of the link and each outage."""

import json
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

Frame = dict[str, Any]

STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}
DETAILS: Final = (
    "status", "cause", "andon_type", "level", "window", "oee", "unknown_seconds", "unknown_count", "good_count",
    "reject_count", "product", "job_id", "parameter", "value", "to_product", "outcome", "reason_code",
    "duration_seconds",
)  # fmt: skip
USUAL: Final = {"clock": "receive"}  # of data_quality: what says nothing
LOUD: Final = {"stale": "STALE"}  # of data_quality: what must not be overlooked (P5)


def line_printer(console: Console) -> Callable[[Frame], None]:
    """Return a `show` that prints a line for each event and for each change of the link."""
    return _Lines(console).show


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._connected = False
        self._lost = False  # an outage is printed once, however often a connection is tried in it
        self._advised: set[str] = set()

    def show(self, frame: Frame) -> None:
        if frame["type"] == "link_lost":
            self._show_lost(frame)
            return
        self._connected, self._lost = True, False
        self._advised.clear()
        if "offset" in frame:
            self._print(_event(frame))
        elif frame["type"] == "link":
            self._print(_link(frame))
        elif frame["type"] == "conflated":
            self._print(f"[dim]{escape(_left_out(frame['counts']))}[/]")
        elif frame["type"] == "error":
            self._print(f"[yellow]error[/] {escape(_error(frame))}")
        elif frame["type"] in ("revoked", "expiring"):
            details = {name: value for name, value in frame.items() if name != "type"}
            self._print(f"[yellow]{frame['type']}[/] {escape(json.dumps(details))}")
        elif frame["type"] == "subscription_confirmed":
            self._print(f"[green]subscribed[/] {escape(', '.join(frame['effective']))}")

    def _show_lost(self, frame: Frame) -> None:
        advice = frame.get("advice")
        if not self._lost:
            what = "connection lost" if self._connected else "no connection"
            self._print(f"[yellow]{what}; trying again[/] ({escape(advice or frame['reason'])})")
        elif advice is not None and advice not in self._advised:
            self._print(f"[yellow]{escape(advice)}[/]")
        self._lost = True
        if advice is not None:
            self._advised.add(advice)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _left_out(counts: dict[str, int]) -> str:
    return f"(left out for later ones: {', '.join(f'{count} {name}' for name, count in counts.items())})"


def _error(frame: Frame) -> str:
    """Return `andon:L1: the message (CODE; what=more)`."""
    about = "" if frame.get("id") is None else f"{frame['id']}: "
    more = "".join(f"; {name}={_shown(value)}" for name, value in (frame.get("detail") or {}).items())
    return f"{about}{frame['message']} ({frame['code']}{more})"


def _event(frame: Frame) -> str:
    where = "/".join(filter(None, (frame["area"], frame["line_id"], frame["equipment_code"])))
    words = [f"[dim]{frame['timestamp'][11:19]}Z[/]", f"[{STYLES[frame['priority']]}]{frame['type']:<20}[/]"]
    words.append(f"{escape(where):<34}")
    if frame["subject"] != "_":
        words.append(escape(frame["subject"]))
    data = frame["data"]
    words += [escape(f"{name}={_shown(data[name])}") for name in DETAILS if data.get(name) is not None]
    if doubts := _doubts(frame["data_quality"]):
        words.append(f" {doubts}")
    return " ".join(words)


def _doubts(quality: dict[str, Any]) -> str:
    """Return what limits the trust in an event, the loudest first: fields that a later version adds too."""
    said = {
        name: value
        for name, value in quality.items()
        if value is not None and value is not False and value != USUAL.get(name)
    }
    names = sorted(said, key=lambda name: name not in LOUD)
    return " ".join(
        f"[bold red]{LOUD[name]}[/]" if name in LOUD else f"[yellow]{escape(_named(name, said[name]))}[/]"
        for name in names
    )


def _named(name: str, value: object) -> str:
    return name if value is True else f"{name}={_shown(value)}"


def _shown(value: object) -> str:
    """Return three digits behind the point at most, as the board shows them."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _link(frame: Frame) -> str:
    if not frame["broker"]:
        return "[red]not live[/] the bridge has lost the broker"
    stale = [name for name, stream in frame["streams"].items() if not stream["live"]]
    return f"[red]not live[/] {escape(', '.join(stale))}" if stale else "[green]live[/]"
