"""The packages and who may import whom (docs/architecture.md), the size of a file, and what `make proof` runs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "bridge").rglob("*.py"))
SIMULATOR = sorted((ROOT / "device_sim").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_LINES = 300
LONG = re.compile(r"^(from|import) hypothesis\b|\bmark\.proof\b", re.MULTILINE)  # tests that try harder in a proof
FOLDERS = (ROOT, ROOT / "bridge", ROOT / "device_sim")  # the document names files relative to these

ALLOWED: dict[str, set[str]] = {
    "domain": set(),
    "ports": {"domain"},
    "protocol": {"domain"},
    "ingest": {"domain"},
    "contract": {"domain", "ingest", "protocol"},
    "pipeline": {"domain", "ports"},
    "publisher": {"domain", "ports"},
    "http": {"domain", "ports", "protocol", "settings"},
    "front": {"domain", "ports", "protocol", "contract", "http", "settings"},
    "journal": {"domain", "ports"},
    "mqtt": {"domain", "ports", "settings"},
    "adapters": {"domain", "ports", "settings"},
    "settings": {"domain", "ports"},
    "watch": {"protocol"},
    "demo": {"domain", "ports", "journal", "adapters", "watch"},
    "wiring": {
        "domain", "ports", "protocol", "ingest", "pipeline", "publisher", "http", "front", "journal", "mqtt",
        "adapters", "settings",
    },
    "cli": {"domain", "ports", "journal", "contract", "adapters", "settings", "watch", "demo", "wiring"},
    "__main__": {"cli"},
    "__init__": set(),
}  # fmt: skip
"""Package -> the other packages of `bridge` that it may import."""

PURE = ("domain", "protocol")
PURE_MAY_IMPORT = {
    "abc", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib",
    "enum", "fractions", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re", "statistics",
    "string", "tomllib", "types", "typing", "unicodedata", "weakref", "zoneinfo",
    "msgspec", "pydantic", "pydantic_core", "typing_extensions",  # the model libraries, and typing of later Pythons
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "bridge":
                yield from (f"bridge.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def package(path: Path) -> str:
    return path.relative_to(ROOT / "bridge").parts[0].removesuffix(".py")


def test_packages_import_only_what_they_may() -> None:
    forbidden = [
        f"{name(path)} imports {module}"
        for path in MODULES
        for module in imports(path)
        if module.startswith("bridge.") and module.split(".")[1] not in ALLOWED[package(path)] | {package(path)}
    ]
    assert forbidden == []


def test_domain_and_protocol_are_pure() -> None:
    forbidden = [
        f"{name(path)} imports {module}"
        for path in MODULES
        if package(path) in PURE
        for module in imports(path)
        if module.split(".")[0] not in {"bridge", *PURE_MAY_IMPORT}
    ]
    assert forbidden == []


def test_every_allowed_import_is_used() -> None:
    used = {own: {module.split(".")[1] for path in MODULES if package(path) == own for module in imports(path)
                  if module.startswith("bridge.")} - {own} for own in ALLOWED}  # fmt: skip
    assert used == ALLOWED


def test_the_documented_table_is_this_one() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \|.*\| (\w[\w, ]*) \|$", text, re.MULTILINE)
    documented = {row[0]: set() if row[1] == "nothing" else set(row[1].split(", ")) for row in rows}
    assert documented == {own: others for own, others in ALLOWED.items() if own != "__init__"}
    folders = {path.name for path in (ROOT / "bridge").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))


def test_documented_files_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    files = set(re.findall(r"`((?:\w+/)+\w+\.\w+)`", text))
    assert len(files) > 60
    assert [file for file in sorted(files) if not any((root / file).exists() for root in FOLDERS)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "bridge/wiring").glob("pipeline_*.py")), ids=name)
def test_the_pipeline_side_does_without_the_front(path: Path) -> None:
    assert not [module for module in imports(path) if module.startswith("bridge.front")]


def test_the_simulator_imports_nothing_of_the_bridge() -> None:
    assert SIMULATOR
    assert [name(path) for path in SIMULATOR for module in imports(path) if module.split(".")[0] == "bridge"] == []


def test_files_stay_small() -> None:
    lines = {name(path): len(path.read_text().splitlines()) for path in MODULES + SIMULATOR + TESTS}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}, "split by what they are about"


def test_every_property_and_long_proof_is_proved() -> None:
    """`make proof` runs more examples of these, but only of the tests that the Makefile lists."""
    variable = re.search(r"^PROVED := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert variable is not None
    proved = [ROOT / path for path in variable[1].replace("\\\n", " ").split()]
    assert [path for path in proved if not path.exists()] == []
    long = {path for path in TESTS if path.name.startswith("test_") and re.search(LONG, path.read_text())}
    assert len(long) > 30
    assert [name(path) for path in sorted(long) if not any(path.is_relative_to(part) for part in proved)] == []
