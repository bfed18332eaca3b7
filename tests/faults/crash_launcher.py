"""A bridge that kills itself at a named step: a launcher of `bridge_process.py`."""

from collections.abc import Sequence

from tests.support.bridge_process import ForkLauncher


class CrashLauncher(ForkLauncher):
    """Forks `floor run`; the next one kills itself where `crash_next` says."""

    def __init__(self) -> None:
        self._first: Sequence[object] = ()

    def crash_next(self, at: str, *, nth: int) -> None:
        """Let the next bridge kill itself when it passes this one of crash_points.PLACES for the nth time."""
        self._first = ("tests.faults.crash_points", "arm", at, nth)

    def first(self) -> Sequence[object]:
        first, self._first = self._first, ()
        return first
