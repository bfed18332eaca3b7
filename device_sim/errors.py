"""Errors that end the command with a message for the user."""

import difflib
from collections.abc import Iterable


class SimulatorError(Exception):
    """Base of errors whose message names what is wrong, where, and the remedy."""


class UnknownName(SimulatorError):
    """Raised for a name that does not exist; the message suggests the closest known one and lists all."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        super().__init__(f"unknown {what}: {name}{suggest(name, known)}\n  known: {', '.join(known)}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?`, or the empty string if no known name is close."""
    closest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {closest[0]}?" if closest else ""
