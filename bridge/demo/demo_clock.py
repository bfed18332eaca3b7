"""The demo's floor time, which keeps running while its bridge is down, as the simulated plant does."""

from pathlib import Path

from bridge.adapters.clock import FloorClock
from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.reader import SqliteReader
from bridge.ports.journal import JournalError


class DemoClock:
    """Floor time that starts at the wall clock or, if later, at the journal's end; it runs only while the demo runs."""

    def __init__(self, scale: float, journal: Path) -> None:
        self._clock = FloorClock(scale=scale, not_before=_last_input_time(journal))

    def anchor_environment(self) -> dict[str, str]:
        """Return the anchor as environment variables, for a bridge that starts now."""
        anchor = self._clock.anchor()
        return {"FLOOR_TIME__ANCHOR_FLOOR": str(anchor.floor), "FLOOR_TIME__ANCHOR_WALL": str(anchor.wall)}


def describe_scale(scale: float) -> str:
    return "in real time" if scale == 1 else f"at {scale:g} times real time"


def _last_input_time(path: Path) -> Millis:
    if not path.exists():
        return 0
    try:
        journal = SqliteReader.open(path, stream="main")
    except JournalError:  # the bridge reports what is wrong with it, or repairs it
        return 0
    try:
        return journal.last_input()[1]
    finally:
        journal.close()
