"""Accounts of pieces: made, forgotten by registers, counted, and whether a difference is declared in the events."""

from dataclasses import dataclass, field
from typing import Final

from device_sim.truth.truth import RegisterTruth, Truth
from tests.recount.line_history import LineHistory
from tests.recount.pieces import SETS, CountsStep
from tests.recount.reported_facts import EventBody

FIELDS: Final = {"total": "total_count", "good": "good_count", "reject": "reject_count"}


@dataclass(slots=True)
class PieceAccount:
    """One counter of one machine over a run."""

    line: str
    machine: str
    counter: str
    made: int  # between the first and the last report that arrived in order
    lost: int  # of them, what a register forgot before it was read, or did not show when it was read last
    counted: int
    held: int
    released: int
    refused: int
    estimated: bool

    @property
    def difference(self) -> int:
        """Return how many pieces are missing from the count; negative: invented."""
        return self.made - self.lost - self.counted

    @property
    def is_declared(self) -> bool:
        return self.difference == 0 or self.estimated or self.held > 0 or self.refused > 0

    @property
    def is_explained(self) -> bool:
        """Return whether refused or held pieces can explain a deficit, and released pieces a surplus.

        Any further difference is declared as an estimate only: a register was reset unseen, or a reset looked like a
        climb.
        """
        return -self.released <= self.difference <= self.held + self.refused


@dataclass(slots=True)
class _CountedPieces:
    shifts: dict[str, dict[str, int]] = field(default_factory=dict)
    held: int = 0
    released: int = 0
    refused: int = 0
    estimated: bool = False


def accounts(truth: Truth, line_history: LineHistory, events: list[EventBody]) -> list[PieceAccount]:
    counted = _counted(line_history.line.id, events)
    collected = []
    for name, counters in line_history.counters.items():
        field_names = _fields_of(truth, name)
        counted_pieces = counted.get(name, _CountedPieces())
        for counter in field_names:
            sets = [register for register in truth.registers if register.device == name and register.what in SETS]
            collected.append(
                PieceAccount(
                    line=line_history.line.id,
                    machine=name,
                    counter=counter,
                    made=sum(step.after[counter] - step.before[counter] for step in counters.steps),
                    lost=sum(_lost(step, sets, counter) for step in counters.steps)
                    + _not_shown(truth, name, counters.last_at, counter),
                    counted=sum(shift.get(counter, 0) for shift in counted_pieces.shifts.values()),
                    held=counted_pieces.held,
                    released=counted_pieces.released,
                    refused=counted_pieces.refused,
                    estimated=counted_pieces.estimated,
                )
            )
    return collected


def _fields_of(truth: Truth, name: str) -> list[str]:
    first = next((report for report in truth.said if report.device == name and report.kind == "counts"), None)
    return [] if first is None else [field_name for field_name in FIELDS if field_name in first.body]


def _lost(step: CountsStep, sets: list[RegisterTruth], counter: str) -> int:
    """Return the pieces made between two reports that the register lost before the later one."""
    between = [setting for setting in sets if step.since < setting.at <= step.until]
    return between[-1].made[counter] - step.before[counter] if between else 0


def _not_shown(truth: Truth, name: str, last_at: int | None, counter: str) -> int:
    """Return the deficit of the last reading: no later report can show the rest."""
    dips = [
        register
        for register in truth.registers
        if (register.device, register.at, register.what) == (name, last_at, "dip")
    ]
    return dips[-1].real[counter] - dips[-1].shown[counter] if dips else 0


def _counted(line: str, events: list[EventBody]) -> dict[str, _CountedPieces]:
    counts: dict[str, _CountedPieces] = {}
    for event in events:
        if event["type"] != "production_update" or event["line_id"] != line:
            continue
        counted_pieces = counts.setdefault(event["equipment_code"] or "_", _CountedPieces())
        data, quality = event["data"], event["data_quality"]
        counted_pieces.shifts[data["window_start"]] = {counter: data[name] for counter, name in FIELDS.items()}
        counted_pieces.held = quality.get("pieces_held") or 0
        counted_pieces.released += quality.get("pieces_released") or 0
        counted_pieces.refused += quality.get("pieces_refused") or 0
        counted_pieces.estimated = counted_pieces.estimated or bool(quality.get("estimated"))
    return counts
