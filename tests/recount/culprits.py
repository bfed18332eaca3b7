"""Cause of a stop, and the machine to blame, at one instant. Source: domain.md, «Downtime».

From the machine that decides the line's status the search goes towards the cause, past machines that only wait, to
the first that stopped by itself. A machine that runs ends the search.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from tests.recount.machine_state import MachineState
from tests.recount.plant_facts import LineFacts

CAUSE: Final = {"internal": "internal", "starved": "upstream", "blocked": "downstream", "planned": "planned"}


class Rank(IntEnum):
    """Explanatory value of a finding, the least first."""

    UNKNOWN = 0
    PLANNED = 1
    WAITS = 2
    ATTENDED = 3  # the culprit is being set up or maintained
    CULPRIT = 4
    INTERNAL = 5


@dataclass(frozen=True, slots=True)
class Finding:
    stopped: str
    cause: str
    culprit: str | None
    reason: str | None
    rank: Rank
    broken: frozenset[str]  # machines whose own fault stops them
    attended: frozenset[str] = frozenset()  # machines under maintenance or setup
    unseen: frozenset[str] = frozenset()  # broken machines that are not observed


def find(line: LineFacts, states: dict[str, MachineState]) -> Finding:
    flow = list(line.machines)
    place = flow.index(line.constraint)
    state = states[line.constraint]
    cause, culprit = _blame(flow, place, states)
    reason = (states[culprit].reason if culprit else None) or state.reason
    attended = culprit is not None and states[culprit].status in ("setup", "maintenance")
    broken = frozenset(name for name in flow if states[name].broken)
    manned = frozenset(name for name in flow if states[name].status in ("setup", "maintenance"))
    unseen = frozenset(name for name in broken if not states[name].known)
    rank = _rank(cause, culprit, attended=attended)
    return Finding(line.constraint, cause, culprit, reason, rank, broken, manned, unseen)


def _rank(cause: str, culprit: str | None, *, attended: bool) -> Rank:
    if cause == "internal":
        return Rank.INTERNAL
    if cause in ("upstream", "downstream"):
        return Rank.WAITS if culprit is None else Rank.ATTENDED if attended else Rank.CULPRIT
    return Rank.PLANNED if cause == "planned" else Rank.UNKNOWN


def _blame(flow: list[str], place: int, states: dict[str, MachineState]) -> tuple[str, str | None]:
    state = states[flow[place]]
    cause = CAUSE.get(state.cause or "", "unknown")
    if state.status in ("setup", "maintenance") or cause == "planned":
        return cause, None
    before, behind = flow[:place][::-1], flow[place + 1 :]
    if cause == "internal":
        return cause, flow[place]
    if cause == "upstream":
        return cause, _walk(before, states, "starved")[0] or _self_if_fault(flow[place], state)
    if cause == "downstream":
        return cause, _walk(behind, states, "blocked")[0] or _self_if_fault(flow[place], state)
    up, up_far = _walk(before, states, "starved")
    down, down_far = _walk(behind, states, "blocked")
    if up is None and down is None:
        return "unknown", None
    return ("upstream", up) if up_far <= down_far else ("downstream", down)


def _self_if_fault(name: str, state: MachineState) -> str | None:
    """A fault that blames a neighbour which is not to blame is the machine's own."""
    return name if state.status == "fault" else None


def _walk(names: list[str], states: dict[str, MachineState], waiting: str) -> tuple[str | None, float]:
    """Return the first machine that stopped by itself, and how far away it is."""
    accuser: tuple[str | None, float] = (None, float("inf"))
    for far, name in enumerate(names, start=1):
        state = states[name]
        if state.status == "fault" and state.cause == waiting:
            accuser = accuser if accuser[0] else (name, far)
            continue
        if state.status in ("fault", "maintenance", "setup"):
            return name, far
        if state.status in ("stopped", "idle") and state.cause == "internal":
            return name, far
        waits = state.status == "offline" or (state.status != "running" and state.cause in (waiting, "unknown"))
        if not waits:
            break
    return accuser
