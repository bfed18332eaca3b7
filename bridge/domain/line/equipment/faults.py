"""Active faults of a machine, resolved through its catalogue, and the first-out fault. Source: domain.md, «Status»."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from bridge.domain import plant
from bridge.domain.event_data import FaultNote, StatusCause
from bridge.domain.reports import StateReport
from bridge.domain.utc_time import Millis, rfc3339

MAX_ACTIVE: Final = 64  # bounds what a device that reports every bit can put into an event

STATUS_CAUSE_OF: Final[dict[str, StatusCause]] = {
    "internal": "internal",
    "upstream": "starved",
    "downstream": "blocked",
}


class UnreadableFaultBits(Exception):
    """The peer's fault bits are not hexadecimal."""


class ActiveFault(Struct):
    """A fault that a machine reports as active. `stops`: whether it stops the machine."""

    code: str
    text: str
    since: Millis
    stops: bool
    cause: StatusCause
    first_out: bool = False

    def to_fault_note(self) -> FaultNote:
        return FaultNote(self.code, self.text, rfc3339(self.since), self.first_out)


class Faults(Struct):
    """Active faults, in order of arrival."""

    active: list[ActiveFault] = field(default_factory=list)

    @property
    def first_out_fault(self) -> ActiveFault | None:
        """The first-out fault, which was the first to stop the machine; None while none does."""
        return next((fault for fault in self.active if fault.first_out), None)


def parse_fault_bits(value: str | list[int] | None) -> list[int]:
    """Parse fault bits: numbers, or a hexadecimal word whose lowest bit is 0. Raise UnreadableFaultBits for others."""
    if value is None or isinstance(value, list):
        return sorted(set(value or ()))
    text = value.strip().replace("_", "").removeprefix("0x").removeprefix("0X")
    try:
        word = int(text or "0", 16)
    except ValueError as error:
        raise UnreadableFaultBits(value) from error
    if word < 0:
        raise UnreadableFaultBits(value)
    return [bit for bit in range(word.bit_length()) if word >> bit & 1]


def update_faults(faults: Faults, body: StateReport, catalogue: Iterable[plant.FaultDefinition], *, at: Millis) -> None:
    """Take over the active faults of a state report; a fault that stays keeps its time and its first-out mark.

    Instructions and information are never faults. A bit or code missing from the catalogue is a stopping fault.
    """
    by_bit = {fault.bit: fault for fault in catalogue if fault.bit is not None}
    by_code = {fault.code: fault for fault in catalogue}
    reported = [
        by_bit.get(bit) or plant.FaultDefinition(code=f"bit{bit}", text=f"Fault bit {bit}")
        for bit in parse_fault_bits(body.fault_bits)
    ]
    reported += [by_code.get(code) or plant.FaultDefinition(code=code, text=code) for code in body.fault_codes or ()]
    actual = {fault.code: fault for fault in reported if fault.kind == "fault"}
    kept = [fault for fault in faults.active if fault.code in actual]
    kept_codes = {fault.code for fault in kept}
    new = [_activate(fault, at) for code, fault in actual.items() if code not in kept_codes]
    faults.active = [*kept, *new][:MAX_ACTIVE]
    if faults.first_out_fault is None:
        first = next((fault for fault in faults.active if fault.stops), None)
        if first is not None:
            first.first_out = True


def _activate(fault: plant.FaultDefinition, at: Millis) -> ActiveFault:
    return ActiveFault(fault.code, fault.text, at, fault.stops, STATUS_CAUSE_OF[fault.cause])
