"""The simulator's plant file: its devices, their failures, and the behaviour of people.

Validated by pydantic, because a person writes the file and reads the errors.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from device_sim.toml_files import SimulationFileError, SimulationModel, read_toml, validate

# In pydantic's regular expressions, which are Rust's, `$` matches only at the end of the text, not before a line feed.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=86_400)]
Range = tuple[Positive, Positive]
AndonType = Literal["safety", "stop", "quality", "equipment", "maintenance", "material", "process", "changeover"]
ANDON_TYPES: tuple[AndonType, ...] = get_args(AndonType)
RegisterWidth = Literal["int16", "uint16", "int32", "uint32"]
PackmlDialect = Literal["tr88", "tmc"]

SHIPPED = Path(__file__).with_name("plant.toml")
BRIDGE_TABLES = {"areas", "timezone", "shifts", "rules", "reasons", "ladder", "responders", "call_priority"}
"""Keys of the bridge's plant file that the simulator's cannot have."""


class WrongPlantFile(SimulationFileError):
    """Raised for the bridge's plant file in place of the simulator's."""

    def __init__(self, path: Path) -> None:
        fault = (
            "this is the bridge's plant file (docs/plant.md); the simulator needs one of its own (docs/simulator.md)"
        )
        super().__init__(path, [f"{fault}, such as {SHIPPED}"])


class FaultSpec(SimulationModel):
    """A kind of fault: a bit of the fault word or a code, with the reason and the call that people enter."""

    bit: int | None = Field(None, ge=0, le=63)
    code: str | None = None
    reason: str | None = None  # the reason code that people may enter
    call: AndonType = "equipment"

    @model_validator(mode="after")
    def _is_a_bit_or_a_code(self) -> Self:
        if (self.bit is None) == (self.code is None):
            raise ValueError("a fault needs either a bit or a code")
        return self


class ParameterSpec(SimulationModel):
    """A measured value that drifts out of its limits until somebody corrects it."""

    name: Id
    unit: str = Field(max_length=16)
    center: float
    tolerance: float = Field(gt=0)  # limits are center - tolerance and center + tolerance
    sigma: float = Field(gt=0)
    minutes_to_limit: Positive = 15.0  # of running, on average
    correct_seconds: Range = (90.0, 240.0)  # from leaving the limits to the correction


class InspectionSpec(SimulationModel):
    """Samples of pieces; during bad periods more of the pieces are defective."""

    parameter: Id
    sample: int = Field(10, ge=1, le=1_000)
    every_seconds: Positive = 60.0
    defect_ratio: Ratio = 0.01
    bad_defect_ratio: Ratio = 0.15
    mean_minutes_between_bad: Positive = 30.0
    bad_minutes: Range = (3.0, 8.0)


class MachineSpec(SimulationModel):
    """A machine and its controller."""

    id: Id
    controller: str
    tags: dict[str, str] = Field(default_factory=dict)  # field of its reports -> tag of the controller
    cycle_seconds: Positive
    counts: tuple[Literal["total", "good", "reject"], ...] = ("total", "good", "reject")
    counter: RegisterWidth = "uint32"
    counter_start: int = 0
    tells_modulus: bool = False
    tells_product: bool = False
    packml: PackmlDialect | None = None
    buffer: int = Field(20, ge=1, le=10_000)  # pieces that fit between this machine and the next
    reject_ratio: Ratio = 0.01
    startup_rejects: int = Field(6, ge=0)  # of the first pieces after a changeover, about half are bad
    faults: tuple[FaultSpec, ...] = Field(min_length=1)
    information_bits: tuple[int, ...] = ()
    starved_bit: int | None = Field(None, ge=0, le=63)
    blocked_bit: int | None = Field(None, ge=0, le=63)
    mean_minutes_between_faults: Positive = 15.0
    repair_minutes: Range = (1.0, 6.0)
    long_repair_ratio: Ratio = 0.0  # share of the faults with a long repair
    long_repair_minutes: Range = (35.0, 80.0)
    lock_out_ratio: Ratio = 0.0  # share of the repairs done with the power off
    mean_minutes_between_jams: Positive = 6.0
    jam_seconds: Range = (6.0, 40.0)
    parameter: ParameterSpec | None = None
    inspection: InspectionSpec | None = None

    @property
    def has_fault_word(self) -> bool:
        return any(fault.bit is not None for fault in self.faults)


class StationSpec(SimulationModel):
    """An Andon station; its `form` decides whether it reports actions or the levels of its inputs."""

    id: Id
    form: Literal["action", "momentary", "latching"] = "action"
    andon_types: tuple[AndonType, ...] = ANDON_TYPES
    near: tuple[Id, ...] = ()  # machines whose people press here first
    terminal: bool = False  # orders and changeovers are entered here


class PeopleSpec(SimulationModel):
    """The behaviour of the people of a line."""

    names: tuple[Id, ...] = Field(("ann", "ben", "cem"), min_length=1)
    notice_seconds: Positive = 40.0  # mean, from the trouble to the press
    acknowledge_seconds: Range = (20.0, 200.0)
    walk_seconds: Range = (15.0, 90.0)
    tidy_seconds: Range = (15.0, 120.0)  # from the end of the trouble to resolving the call
    forget_ratio: Ratio = 0.3  # share of the calls ignored for long, so that they escalate
    forget_seconds: Range = (420.0, 1_200.0)
    cancel_ratio: Ratio = 0.08  # share of the calls raised by mistake
    mean_minutes_between_wishes: Positive = 25.0  # between calls that no machine caused


class OrdersSpec(SimulationModel):
    """How long a line's orders, breaks and gaps take, and how often products repeat."""

    minutes: Range = (6.0, 11.0)  # of undisturbed production
    same_product_ratio: Ratio = 0.3
    break_ratio: Ratio = 0.25  # share of the orders paused once
    break_minutes: Range = (1.0, 3.0)
    gap_seconds: Range = (15.0, 60.0)
    changeover_seconds: Range = (100.0, 260.0)
    changeover_signal: Literal["report", "mode"] = "report"


class LineSpec(SimulationModel):
    """A line: its machines in flow order, its stations, products, people and orders."""

    id: Id
    area: Id
    products: tuple[Id, ...] = Field(min_length=1)
    machines: tuple[MachineSpec, ...] = Field(min_length=1)
    stations: tuple[StationSpec, ...] = Field(min_length=1)
    people: PeopleSpec = PeopleSpec()
    orders: OrdersSpec = OrdersSpec()
    mean_minutes_between_shortages: Positive = 45.0
    shortage_minutes: Range = (1.0, 4.0)

    @property
    def terminal(self) -> StationSpec:
        return next((station for station in self.stations if station.terminal), self.stations[0])


class PlantSpec(SimulationModel):
    """A plant: its lines in order. Device ids are unique, because client ids are built from them."""

    site: Id
    replan_minutes: Range = (8.0, 16.0)  # the planner cancels an order this often
    lines: tuple[LineSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_unique_ids(self) -> Self:
        for what, ids in (("line", [line.id for line in self.lines]), ("device", [name for _, name in self.devices()])):
            duplicates = sorted({name for name in ids if ids.count(name) > 1})
            if duplicates:
                raise ValueError(f"duplicate {what} ids: {', '.join(duplicates)}")
        for line in self.lines:
            machines = {machine.id for machine in line.machines}
            for station in line.stations:
                unknown = sorted(set(station.near) - machines)
                if unknown:
                    raise ValueError(
                        f"line {line.id}, station {station.id}: unknown machines in near: {', '.join(unknown)}"
                    )
        return self

    def devices(self) -> Iterator[tuple[LineSpec, str]]:
        """Yield every device with its line: machines in the order of the flow, then stations."""
        for line in self.lines:
            for name in (*(machine.id for machine in line.machines), *(station.id for station in line.stations)):
                yield line, name

    def identity(self, line: LineSpec, device: str | None) -> str:
        """Return the user name and client id of a device: its place, `plant1/packing/L1/Bagger-1`.

        With None, those of the line's gateway: `plant1/packing/L1` (mosquitto/acl.devices).
        """
        place = f"{self.site}/{line.area}/{line.id}"
        return place if device is None else f"{place}/{device}"

    def stations(self) -> Iterator[tuple[LineSpec, StationSpec]]:
        for line in self.lines:
            for station in line.stations:
                yield line, station


def load(path: Path) -> PlantSpec:
    """Read a plant file; raises `SimulationFileError`."""
    tree = read_toml(path)
    if BRIDGE_TABLES & tree.keys():
        raise WrongPlantFile(path)
    return validate(path, tree, PlantSpec)
