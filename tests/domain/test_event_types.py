"""A new event type, and new data, fail the type checker at each place that must know them."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from bridge.domain.events import CATEGORY_OF, CONFLATED_TYPES, DATA_OF, EventType
from tests.support.command_line import ROOT

EVENTS: Final = "bridge/domain/events.py"
DATA: Final = "bridge/domain/event_data.py"
ERROR: Final = re.compile(r'^(\S+):(\d+): error: Argument 1 to "assert_never"', re.MULTILINE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the two files that define events, which import nothing else of the bridge."""
    for name in (EVENTS, DATA):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def unhandled(copy: Path) -> set[str]:
    """Return the functions in which mypy finds a case that is not handled."""
    config = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(copy / "cache"))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *config, EVENTS], cwd=copy, capture_output=True, text=True, check=False
    )
    functions = [node for node in ast.walk(ast.parse((copy / EVENTS).read_text())) if isinstance(node, ast.FunctionDef)]
    found = ERROR.findall(checked.stdout)
    assert found or checked.returncode == 0, checked.stdout + checked.stderr
    return {
        function.name
        for file, line in found
        for function in functions
        if file == EVENTS and function.lineno <= int(line) <= (function.end_lineno or 0)
    }


def test_the_definition_of_events_is_complete(copy: Path) -> None:
    assert unhandled(copy) == set()


def test_a_new_event_type_needs_a_category_a_loss_policy_and_data(copy: Path) -> None:
    last = '    CHANGEOVER_COMPLETED = "changeover_completed"\n'
    replace(copy / EVENTS, last, f'{last}    TOOL_WORN = "tool_worn"\n')
    assert unhandled(copy) == {"category_of", "loss_policy_of", "data_type_of"}


def test_new_data_needs_an_audience(copy: Path) -> None:
    union = "EventData = LineStatus"
    replace(copy / DATA, union, f"class Tool(Struct, frozen=True):\n    wear: float\n\n\n{union} | Tool")
    assert unhandled(copy) == {"audience"}


def test_the_tables_hold_every_event_type() -> None:
    assert CATEGORY_OF.keys() == DATA_OF.keys() == set(EventType) > CONFLATED_TYPES
