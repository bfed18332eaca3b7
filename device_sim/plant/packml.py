"""PackML states of a machine's conditions, and their numbers in both dialects. Source: domain.md, «Status»."""

from typing import Final

from device_sim.plant.machine import Condition
from device_sim.plant_file import PackmlDialect

PRODUCTION_MODE: Final = 1
CHANGEOVER_MODE: Final = 4  # modes from 4 on are user-defined; the bridge's plant file defines this one

TR88: Final = (
    "Clearing", "Stopped", "Starting", "Idle", "Suspended", "Execute", "Stopping", "Aborting", "Aborted",
    "Holding", "Held", "Unholding", "Suspending", "Unsuspending", "Resetting", "Completing", "Complete",
)  # fmt: skip
TMC: Final = (
    "Stopped", "Resetting", "Idle", "Starting", "Execute", "Completing", "Complete", "Aborting", "Aborted",
    "Stopping", "Clearing", "Suspending", "Suspended", "Unsuspending", "Holding", "Held", "Unholding",
)  # fmt: skip

NUMBER: Final[dict[PackmlDialect, dict[str, int]]] = {
    "tr88": {name: number for number, name in enumerate(TR88, start=1)},
    "tmc": {name: number for number, name in enumerate(TMC)},
}

STEADY: Final[dict[Condition, str]] = {
    Condition.IDLE: "Idle",
    Condition.SETUP: "Stopped",
    Condition.BREAK: "Held",
    Condition.RUNNING: "Execute",
    Condition.JAMMED: "Held",
    Condition.FAULT: "Aborted",
    Condition.STARVED: "Suspended",
    Condition.BLOCKED: "Suspended",
    Condition.OFF: "Stopped",  # never reported
}

_ENTERING: Final[dict[Condition, str]] = {
    Condition.IDLE: "Resetting",
    Condition.SETUP: "Stopping",
    Condition.BREAK: "Holding",
    Condition.RUNNING: "Starting",
    Condition.JAMMED: "Holding",
    Condition.FAULT: "Aborting",
    Condition.STARVED: "Suspending",
    Condition.BLOCKED: "Suspending",
    Condition.OFF: "Stopping",
}

_RETURNING: Final[dict[Condition, str]] = {
    Condition.FAULT: "Clearing",
    Condition.JAMMED: "Unholding",
    Condition.BREAK: "Unholding",
    Condition.STARVED: "Unsuspending",
    Condition.BLOCKED: "Unsuspending",
}


def acting_state(old: Condition, new: Condition) -> str | None:
    """Return the acting state between two conditions; None if their PackML state is the same."""
    if STEADY[old] == STEADY[new]:
        return None
    if new is Condition.RUNNING:
        return _RETURNING.get(old, "Starting")
    return _ENTERING[new]
