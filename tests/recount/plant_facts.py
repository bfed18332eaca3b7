"""The demo plant as its file and docs/plant.md describe it, read without code of the bridge."""

import csv
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = ROOT / "bridge" / "demo"
MINUTE: Final = 60_000

PRIORITY: Final = {
    "safety": "critical", "stop": "critical", "quality": "high", "equipment": "high",
    "maintenance": "medium", "material": "medium", "process": "medium", "changeover": "medium",
}  # fmt: skip
LADDER: Final = {"low": (15, 60, 15), "medium": (10, 45, 10), "high": (5, 30, 5), "critical": (2, 15, 2)}
"""Minutes to acknowledge, to resolve, and of a step."""
TOP: Final = 2
PRODUCTION_MODE, MAINTENANCE_MODE, MANUAL_MODE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class FaultFacts:
    code: str
    kind: str = "fault"
    stops: bool = True
    cause: str = "internal"


@dataclass(frozen=True, slots=True)
class MachineFacts:
    id: str
    rated_speed: float | None
    modes: dict[int, str]
    faults: dict[str | int, FaultFacts]  # by code, and by bit
    heartbeat_ms: int | None
    ideal_cycle: float | None
    modulus: int | None
    max_rate: float


@dataclass(frozen=True, slots=True)
class StationFacts:
    id: str
    input: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReasonFacts:
    code: str
    category: str
    call_ms: int | None
    andon_type: str
    priority: str


@dataclass(frozen=True, slots=True)
class LineFacts:
    id: str
    area: str
    machines: dict[str, MachineFacts]  # in the order of the flow
    stations: dict[str, StationFacts]
    constraint: str
    counts_of: str  # whose counters are the line's
    ideal_cycle: float | None


@dataclass(frozen=True, slots=True)
class PlantFacts:
    lines: dict[str, LineFacts]
    reasons: dict[str, ReasonFacts]
    cycles: dict[str, float]  # by product
    rules: dict[str, Any] = field(default_factory=dict)

    def line_of(self, device: str) -> LineFacts:
        return next(line for line in self.lines.values() if device in line.machines or device in line.stations)

    def seconds(self, name: str, default: float) -> int:
        """Return a rule in milliseconds."""
        return round(float(self.rules.get(name, default)) * 1000)


def load() -> PlantFacts:
    tree = tomllib.loads((DEMO / "plant.toml").read_text())
    return PlantFacts(
        lines={line["id"]: _line(line) for line in tree["lines"]},
        reasons={reason["code"]: _reason(reason) for reason in tree["reasons"]},
        cycles={
            product["id"]: product["ideal_cycle_seconds"]
            for product in tree["products"]
            if "ideal_cycle_seconds" in product
        },
        rules=tree["rules"],
    )


def _line(tree: dict[str, Any]) -> LineFacts:
    machines = [machine for machine in tree["equipment"] if machine.get("kind", "plc") == "plc"]
    stations = [machine for machine in tree["equipment"] if machine.get("kind") == "station"]
    (counts_of,) = tree["total_from"]
    assert tree["good_from"] == tree["reject_from"] == [counts_of]
    return LineFacts(
        id=tree["id"],
        area=tree["area"],
        machines={machine["id"]: _machine(machine) for machine in machines},
        stations={
            station["id"]: StationFacts(
                station["id"], station.get("input", "action"), tuple(station.get("andon_types", ()))
            )
            for station in stations
        },
        constraint=tree["constraint"],
        counts_of=counts_of,
        ideal_cycle=tree.get("ideal_cycle_seconds"),
    )


def _machine(tree: dict[str, Any]) -> MachineFacts:
    modes = {PRODUCTION_MODE: "production", MAINTENANCE_MODE: "maintenance", MANUAL_MODE: "manual"}
    modes |= {int(number): name for number, name in tree.get("packml_modes", {}).items()}
    counters = tree.get("counters", {})
    heartbeat = tree.get("heartbeat_seconds")
    return MachineFacts(
        id=tree["id"],
        rated_speed=tree.get("rated_speed"),
        modes=modes,
        faults=_faults(tree),
        heartbeat_ms=None if heartbeat is None else round(heartbeat * 1000),
        ideal_cycle=tree.get("ideal_cycle_seconds"),
        modulus=counters.get("modulus"),
        max_rate=counters.get("max_rate_per_minute", 6_000.0),
    )


def _faults(tree: dict[str, Any]) -> dict[str | int, FaultFacts]:
    faults: dict[str | int, FaultFacts] = {
        entry["code"]: FaultFacts(
            entry["code"], entry.get("kind", "fault"), entry.get("stops", True), entry.get("cause", "internal")
        )
        for entry in tree.get("faults", ())
    }
    if "faults_file" in tree:
        rows = (row for row in (DEMO / tree["faults_file"]).read_text().splitlines() if not row.startswith("#"))
        for row in csv.DictReader(rows):
            fault = FaultFacts(row["code"], row["kind"], row["stops"] == "yes", row["cause"])
            faults[row["code"]] = faults[int(row["bit"])] = fault
    return faults


def _reason(tree: dict[str, Any]) -> ReasonFacts:
    minutes = tree.get("call_after_minutes")
    return ReasonFacts(
        code=tree["code"],
        category=tree.get("category", "unplanned"),
        call_ms=None if minutes is None else round(minutes * MINUTE),
        andon_type=tree.get("andon_type", "equipment"),
        priority=tree.get("priority", "high"),
    )
