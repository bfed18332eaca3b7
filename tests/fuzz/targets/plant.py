"""Fuzz target: a plant file, and behind the first NUL the fault catalogue `faults.csv` beside it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bridge.adapters import plant_file
from bridge.adapters.plant_file import PlantFileError
from bridge.domain import plant
from bridge.domain.line.floor import Floor
from tests.fuzz.memory_files import memory_file
from tests.support.command_line import ROOT
from tests.support.packing_line import T0

MAX_BYTES: Final = 16_384
DEMO: Final = ROOT / "bridge" / "demo"
MODELS: Final = (
    plant.Plant, plant.LineConfig, plant.EquipmentConfig, plant.Rules, plant.MeasurementLimit, plant.Product,
    plant.DowntimeReason, plant.CounterRule,
)  # fmt: skip
WORDS: Final = (
    *sorted({f"{name} = " for model in MODELS for name in model.model_fields}),
    *(
        "[[lines]]\n",
        "[[areas]]\n",
        "[[shifts]]\n",
        "[[products]]\n",
        '"faults.csv"',
        '"Europe/Berlin"',
        "true",
        "1e30",
    ),
    *("bit,code,text,kind,stops,cause\n", "\x000,E1,Text,fault,true,internal\n", "[" * 12, '"22:00"', "nan", "-inf"),
)
MINIMAL: Final = b'name = "T"\nareas = [{ id = "A1", site = "S1" }]\n[[lines]]\nid = "L1"\narea = "A1"\n'


def seeds() -> Iterable[bytes]:
    yield (
        (DEMO / "plant.toml").read_bytes().replace(b"bagger1_faults.csv", b"faults.csv")
        + b"\0"
        + (DEMO / "bagger1_faults.csv").read_bytes()[:2_000]
    )
    yield MINIMAL + b'equipment = [{ id = "M1", faults_file = "faults.csv" }]\0bit,code,text\n0,E,Stop\n'
    yield MINIMAL + b'equipment = [{ id = "M1", counters = { modulus = 256 } }]\nrules = { oee_step = 0.5 }\n'
    yield (
        b'timezone = "Europe/Berlin"\nshifts = [{ id = "n", start = "22:00", end = "06:00" }]\n'
        + MINIMAL
        + (b'equipment = [{ id = "M1" }]\nlimits = [{ parameter = "w", unit = "g", lower = 1, upper = 9 }]\n')
    )


def run(data: bytes) -> None:
    """Load: a plant whose floor meets its deadlines without reports, or an error that names the file."""
    text, _, catalogue = data.partition(b"\0")
    path = memory_file("plant.toml", text)
    memory_file("faults.csv", catalogue)
    try:
        loaded = plant_file.load(path)
    except PlantFileError as error:
        assert _names(path, error)
        return
    floor = Floor(loaded)
    floor.tick(T0)
    for _ in range(20):
        if (deadline := floor.next_deadline()) is not None:
            floor.tick(deadline)


def _names(path: Path, error: PlantFileError) -> bool:
    return str(path.parent) in str(error)
