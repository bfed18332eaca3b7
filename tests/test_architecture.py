"""The arrows of DESIGN's «Rooms», and the habits a reader relies on, held by a test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "bridge").rglob("*.py"))
SIMULATOR = sorted((ROOT / "device_sim").rglob("*.py"))
MAX_LINES = 300

CORE_MAY_IMPORT = {
    "abc", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "enum",
    "fractions", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re", "statistics", "string",
    "tomllib", "types", "typing", "unicodedata", "zoneinfo",
    "msgspec", "pydantic", "typing_extensions",  # the model libraries, and typing of later Pythons
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "bridge.adapters")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _module(path: Path) -> str:
    return name(path).removesuffix(".py").replace("/", ".")


@pytest.mark.parametrize("path", [each for each in MODULES if "core" in each.parts], ids=name)
def test_core_is_pure(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        assert module.startswith("bridge.domain") or top in CORE_MAY_IMPORT, f"{name(path)} imports {module}"


@pytest.mark.parametrize("path", [each for each in MODULES if "adapters" in each.parts], ids=name)
def test_adapters_know_the_core_and_their_own_concern_only(path: Path) -> None:
    concern = path.relative_to(ROOT / "bridge" / "adapters").parts[0].removesuffix(".py").split("_")[0]
    for module in imports(path):
        if module.startswith("bridge.adapters."):
            other = module.split(".")[2]
            assert other.split("_")[0] == concern, f"{name(path)} imports {module}"
        above = (
            "bridge.wiring.bridge",
            "bridge.cli",
            "bridge.pipeline",
            "bridge.publisher",
            "bridge.adapters.authenticator",
            "bridge.wiring.front_side",
        )
        assert not module.startswith(above), f"{name(path)} imports {module}"


WIRING = (
    "bridge.wiring.bridge",
    "bridge.wiring.pipeline_side",
    "bridge.wiring.front_side",
    "bridge.adapters.authenticator",
)
ROOMS = [
    ROOT / "bridge" / "surroundings.py",
    *(path for room in ("pipeline", "publisher", "front") for path in (ROOT / "bridge" / room).glob("*.py")),
]


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_rooms_do_not_know_the_adapters(room: Path) -> None:
    for module in imports(room):
        assert not module.startswith(("bridge.adapters", *WIRING)), f"{name(room)} imports {module}"


@pytest.mark.parametrize("path", [each for each in MODULES if _module(each) not in WIRING], ids=name)
def test_only_the_composition_root_knows_both_a_room_and_what_is_around_it(path: Path) -> None:
    known = {module for module in imports(path) if module.startswith("bridge.")}
    rooms = {"bridge.pipeline.pipeline", "bridge.publisher.publisher", "bridge.front.front"} & known
    adapters = {module for module in known if module.startswith("bridge.adapters")}
    if "adapters" not in path.parts:  # the web adapter serves the front's door
        assert not (rooms and adapters), f"{name(path)} wires {sorted(rooms)} with {sorted(adapters)}"


@pytest.mark.parametrize("path", SIMULATOR, ids=name)
def test_the_simulator_meets_the_bridge_only_in_the_contract(path: Path) -> None:
    assert not [module for module in imports(path) if module.split(".")[0] == "bridge"]


@pytest.mark.parametrize("path", MODULES + SIMULATOR, ids=name)
def test_files_stay_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES, f"{name(path)} has {lines} lines: split it by what it is about"
