"""A new event type, and new data, fail the type checker at each place that must know them."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from bridge.domain.events import CATEGORY_OF, CONFLATED_TYPES, DATA_OF, EventType
from tests.support.command_line import ROOT

EVENTS: Final = "bridge/domain/events.py"
DATA: Final = "bridge/domain/event_data.py"
IMPORTED: Final = (
    "bridge/__init__.py",
    "bridge/domain/__init__.py",
    "bridge/domain/place.py",
    "bridge/domain/utc_time.py",
)
ERROR: Final = re.compile(r"^(\S+):(\d+): error: ", re.MULTILINE)


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """Return a copy of the two files that define events, and of all that they import of the bridge."""
    (tmp_path / "bridge/domain").mkdir(parents=True)
    for name in (*IMPORTED, EVENTS, DATA):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def add_event_type(copy: Path) -> None:
    last = '    CHANGEOVER_COMPLETED = "changeover_completed"\n'
    replace(copy / EVENTS, last, f'{last}    TOOL_WORN = "tool_worn"\n')


def add_data(copy: Path) -> None:
    union = "EventData = LineStatus"
    replace(copy / DATA, union, f"class Tool(Struct, frozen=True):\n    wear: float\n\n\n{union} | Tool")


def places_with_errors(copy: Path, checked: str = EVENTS) -> set[tuple[str, str]]:
    """Return the file and the function of each error that mypy finds."""
    config = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(copy / "cache"))
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *config, checked], cwd=copy, capture_output=True, text=True, check=False
    )
    places = {(file, _function_at(copy / file, int(line))) for file, line in ERROR.findall(result.stdout)}
    assert places or result.returncode == 0, result.stdout + result.stderr
    return places


def _function_at(path: Path, line: int) -> str:
    """Return the name of the innermost function that contains a line, empty if there is none."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(functions, key=lambda function: function.lineno).name if functions else ""


def test_the_definition_of_events_is_complete(definition: Path) -> None:
    assert places_with_errors(definition) == set()


def test_a_new_event_type_needs_a_category_a_loss_policy_and_data(definition: Path) -> None:
    add_event_type(definition)
    assert places_with_errors(definition) == {
        (EVENTS, name) for name in ("category_of", "loss_policy_of", "data_type_of")
    }


def test_new_data_needs_an_audience(definition: Path) -> None:
    add_data(definition)
    assert places_with_errors(definition) == {(EVENTS, "audience")}


@pytest.mark.proof
def test_no_other_file_of_the_bridge_must_know_them(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bridge", tmp_path / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    add_event_type(tmp_path)
    add_data(tmp_path)
    assert places_with_errors(tmp_path, "bridge") == {
        (EVENTS, name) for name in ("category_of", "loss_policy_of", "data_type_of", "audience")
    }


def test_the_tables_hold_every_event_type() -> None:
    assert CATEGORY_OF.keys() == DATA_OF.keys() == set(EventType) > CONFLATED_TYPES
