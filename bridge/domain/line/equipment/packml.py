"""PackML states in their two numberings, and the machine status each one means.

Sources: ISA-TR88.00.02 (`tr88`) and the tobacco profile OPC 30060 (`tmc`). The numbers contradict each other, so the
dialect is configured, never guessed.
"""

from collections.abc import Mapping
from typing import Final, Literal

from bridge.domain.event_data import Status, StatusCause

Dialect = Literal["tr88", "tmc"]
Mode = Literal["production", "maintenance", "manual", "setup"]

# fmt: off
STATES: Final[dict[Dialect, dict[int, str]]] = {
    "tr88": {
        1: "clearing", 2: "stopped", 3: "starting", 4: "idle", 5: "suspended", 6: "execute", 7: "stopping",
        8: "aborting", 9: "aborted", 10: "holding", 11: "held", 12: "unholding", 13: "suspending",
        14: "unsuspending", 15: "resetting", 16: "completing", 17: "complete",
    },
    "tmc": {
        0: "stopped", 1: "resetting", 2: "idle", 3: "starting", 4: "execute", 5: "completing", 6: "complete",
        7: "aborting", 8: "aborted", 9: "stopping", 10: "clearing", 11: "suspending", 12: "suspended",
        13: "unsuspending", 14: "holding", 15: "held", 16: "unholding",
    },
}
# fmt: on

StatusMeaning = tuple[Status, StatusCause | None]

_STATES_OF: Final[dict[StatusMeaning, tuple[str, ...]]] = {
    ("running", None): ("execute",),
    # Suspended is caused outside the machine; its inputs say on which side.
    ("idle", "unknown"): ("suspending", "suspended", "unsuspending"),
    ("stopped", "internal"): ("holding", "held"),
    ("fault", "internal"): ("aborting", "aborted", "clearing"),
    # Unholding is the way back: the cause was reported before.
    ("stopped", None): ("stopped", "stopping", "unholding"),
    ("idle", None): ("idle", "starting", "resetting", "completing", "complete"),
}
STATE_MEANING: Final[dict[str, StatusMeaning]] = {
    state: meaning for meaning, states in _STATES_OF.items() for state in states
}

MODES: Final[dict[int, Mode]] = {1: "production", 2: "maintenance", 3: "manual"}

MODE_MEANING: Final[dict[Mode, StatusMeaning | None]] = {
    "production": None,  # the state decides
    "maintenance": ("maintenance", None),
    "setup": ("setup", None),
    "manual": ("stopped", "internal"),  # someone moves it by hand: it does not produce
}


def state_name(dialect: Dialect, state: int | str) -> str | None:
    """Return the state's name in lower case; None for a number or name the dialect does not have."""
    if isinstance(state, int):
        return STATES[dialect].get(state)
    name = state.strip().lower()
    return name if name in STATE_MEANING else None


def mode_of(number: int | None, custom_modes: Mapping[int, Mode]) -> Mode:
    """Return a mode by its number: the machine's own, else the standard's; an unnamed one counts as production."""
    return "production" if number is None else custom_modes.get(number) or MODES.get(number, "production")


def status_meaning(state: str, mode: Mode) -> StatusMeaning:
    """Return status and cause of a named state; the mode takes precedence."""
    return MODE_MEANING[mode] or STATE_MEANING[state]
