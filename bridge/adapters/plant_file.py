"""The loader of the plant file and its fault catalogues; errors name file, location and reason."""

import csv
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.domain.plant import Plant
from bridge.domain.toml_text import parse_toml
from bridge.domain.validation_errors import describe_faults
from bridge.settings.load import file_error_reason


class PlantFileError(Exception):
    """The plant file cannot be used; the text has a line for each fault."""


def load(path: Path) -> Plant:
    """Read and validate a plant file; raise `PlantFileError`.

    `faults_file` of an equipment names a CSV file beside the plant file, with columns bit,code,text,kind,stops,cause.
    """
    try:
        tree = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or not acceptable TOML
        raise PlantFileError(f"{path}: {file_error_reason(error)}") from error
    for line in _tables(tree.get("lines")):
        for equipment in _tables(line.get("equipment")):
            if "faults_file" in equipment:
                catalogue = path.parent / str(equipment.pop("faults_file"))
                try:
                    equipment["faults"] = _read_fault_catalogue(catalogue)
                except (OSError, ValueError, csv.Error) as error:  # ValueError: not UTF-8, or a NUL in the name
                    place = f"line {line.get('id')} equipment {equipment.get('id')} faults_file"
                    raise PlantFileError(f"{path}: {place} {catalogue}: {file_error_reason(error)}") from error
    try:
        return Plant.model_validate(tree)
    except ValidationError as error:
        faults = describe_faults(Plant, error)
        lines = [f"{path}: {_describe_location(tree, location)}: {text}" for location, text in faults]
        raise PlantFileError("\n".join(lines)) from error


def _tables(value: object) -> list[dict[str, Any]]:
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def _read_fault_catalogue(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(row for row in file if not row.startswith("#"))
        return [{name: value for name, value in row.items() if value not in (None, "")} for row in rows]


def _describe_location(tree: object, path: tuple[int | str, ...]) -> str:
    """Return a location with ids, such as `lines[2] (L3) equipment[0] (Bagger-1) rated_speed`."""
    words: list[str] = []
    for step in path:
        tree = _step(tree, step)
        if isinstance(step, int):
            name = tree.get("id") or tree.get("code") if isinstance(tree, dict) else None
            words[-1:] = [f"{words[-1] if words else ''}[{step}]" + (f" ({name})" if name else "")]
        else:
            words.append(str(step))
    return " ".join(words) or "the whole file"


def _step(tree: object, step: int | str) -> object:
    if isinstance(tree, dict):
        return tree.get(step)
    if isinstance(tree, list) and isinstance(step, int) and step < len(tree):
        return tree[step]
    return None
