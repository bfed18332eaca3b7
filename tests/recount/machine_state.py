"""State of a machine, from its `state` reports. Source: domain.md, «Status»; docs/devices.md, «state»."""

from dataclasses import dataclass
from typing import Any, Final

from tests.recount.plant_facts import FaultFacts, MachineFacts

TR88: Final = (
    "Clearing", "Stopped", "Starting", "Idle", "Suspended", "Execute", "Stopping", "Aborting", "Aborted",
    "Holding", "Held", "Unholding", "Suspending", "Unsuspending", "Resetting", "Completing", "Complete",
)  # fmt: skip
TMC: Final = (
    "Stopped", "Resetting", "Idle", "Starting", "Execute", "Completing", "Complete", "Aborting", "Aborted",
    "Stopping", "Clearing", "Suspending", "Suspended", "Unsuspending", "Holding", "Held", "Unholding",
)  # fmt: skip
NAMES: Final = {"tr88": dict(enumerate(TR88, start=1)), "tmc": dict(enumerate(TMC))}
SIDE: Final = {"internal": "internal", "upstream": "starved", "downstream": "blocked"}


@dataclass(slots=True)
class MachineState:
    """State of a machine. `known` is False at the start, after its death, and during an absence."""

    status: str = "offline"
    cause: str | None = None
    reason: str | None = None
    product: str | None = None
    first_out: str | None = None  # the fault that stopped it first
    broken: bool = False  # a fault of its own stops it, in whatever mode it is, or did when it was seen last
    counts_prove: bool = False  # it is taken for running because it makes pieces

    @property
    def known(self) -> bool:
        return self.status != "offline"


def machine_state_of(body: dict[str, Any], machine: MachineFacts, before: MachineState) -> MachineState:
    """Return what a state report makes of a machine."""
    word, word_cause = _word(body, machine)
    stopping = [fault for fault in _active(body, machine) if fault.kind == "fault" and fault.stops]
    codes = [fault.code for fault in stopping]
    first_out = before.first_out if before.first_out in codes else (codes[0] if codes else None)
    first = next((fault for fault in stopping if fault.code == first_out), None)
    state = MachineState(
        reason=body.get("reason_code"),
        product=body.get("product", before.product),
        first_out=first_out,
        broken=first is not None or word == "fault",
    )
    if word in ("maintenance", "setup"):
        state.status = word
    elif first is not None or word == "fault":
        state.status, state.cause = "fault", SIDE["internal" if first is None else first.cause]
    elif word == "running" and not body.get("planned_stop") and _turns(body, machine):
        state.status = "running"
    else:
        state.status = "stopped" if word == "running" else word
        state.cause = _standing_cause(body, word_cause)
        state.broken = state.broken or state.cause == "internal"
    return state


def _standing_cause(body: dict[str, Any], word_cause: str | None) -> str:
    """Return the first that holds: internal, upstream, downstream, planned, unknown; but Held may be planned."""
    if word_cause == "internal":
        return "planned" if body.get("planned_stop") else "internal"
    if body.get("upstream_stop"):
        return "starved"
    if body.get("downstream_stop"):
        return "blocked"
    return "planned" if body.get("planned_stop") else "unknown"


def _word(body: dict[str, Any], machine: MachineFacts) -> tuple[str, str | None]:
    packml = body.get("packml")
    if packml is None:
        return body["state"], None
    mode = machine.modes.get(packml.get("mode", 1), "production")
    if mode in ("maintenance", "setup"):
        return mode, None
    name = NAMES[packml["dialect"]][packml["state"]]
    if name == "Execute":
        return "running", None
    if name in ("Suspending", "Suspended", "Unsuspending"):
        return "idle", None
    if name in ("Holding", "Held"):
        return "stopped", "internal"
    if name in ("Aborting", "Aborted", "Clearing"):
        return "fault", None
    return ("stopped", None) if name in ("Stopped", "Stopping", "Unholding") else ("idle", None)


def _active(body: dict[str, Any], machine: MachineFacts) -> list[FaultFacts]:
    word = int(body.get("fault_bits") or "0", 16)
    bits = [bit for bit in range(64) if word >> bit & 1]
    faults = [machine.faults.get(bit, FaultFacts(f"bit{bit}")) for bit in bits]
    return faults + [machine.faults.get(code, FaultFacts(code)) for code in body.get("fault_codes", ())]


def _turns(body: dict[str, Any], machine: MachineFacts) -> bool:
    speed = body.get("speed")
    return speed is None or machine.rated_speed is None or speed > 0.02 * machine.rated_speed
