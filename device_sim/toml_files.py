"""TOML files that people write: read, validated by pydantic, and refused with every fault and its place."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from device_sim.errors import SimulatorError, suggest

RAISED: Final = "Value error, "  # pydantic's prefix to our validators' messages
MAX_QUOTED_CHARS: Final = 60
REQUIREMENTS: Final[Mapping[str, str]] = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a string",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be an id: a letter or digit, then up to 63 letters, digits, '.', '_' or '-'",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}
"""Pydantic's type of a fault -> what the field must be, with values from the fault's context. As of the bridge's own
files (`bridge/domain/validation_errors.py`), from which the simulator imports nothing."""


class SimulationFileError(SimulatorError):
    """Raised when a plant file or a profile cannot be used; the message names every fault with its place."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))


class SimulationModel(BaseModel):
    """Base of the models of plant files and profiles: immutable, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=SimulationModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises `SimulationFileError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SimulationFileError(path, [reason or str(error)]) from error


def validate(path: Path, tree: dict[str, Any], model: type[Model]) -> Model:
    """Return the model of a file's content; raises `SimulationFileError`."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        faults = [_place(tree, fault["loc"]) + _describe(fault) for fault in error.errors()]
        raise SimulationFileError(path, faults) from error


def _describe(fault: ErrorDetails) -> str:
    """Return a message for the author of the file, with the rejected value where that is a scalar."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "union_tag_invalid":
            kinds = [kind.strip("'") for kind in context["expected_tags"].split(", ")]
            hint = suggest(context["tag"], kinds) or f"\n  known: {', '.join(kinds)}"
            return f"unknown kind: {context['tag']}{hint}"
        case "union_tag_not_found":
            return "kind is missing"
        case "extra_forbidden":
            return "no such field"
        case "missing":
            return "missing"
        case "value_error":
            return fault["msg"].removeprefix(RAISED)
        case kind:
            requirement = REQUIREMENTS.get(kind, "invalid value").format(**context)
            value = fault["input"]
            return requirement if isinstance(value, dict | list) else f"{requirement}, not {_quote(value)}"


def _quote(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_QUOTED_CHARS else f"{text[:MAX_QUOTED_CHARS]}…"


def _place(tree: Any, location: tuple[int | str, ...]) -> str:
    """Return a place as text, by ids where there are any: `lines.L1.machines.Bagger-1.cycle_seconds: `."""
    names: list[str] = []
    for step in location:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            tree = None
        has_id = isinstance(step, int) and isinstance(tree, dict) and isinstance(tree.get("id"), str)
        names.append(tree["id"] if has_id else str(step))
    return f"{'.'.join(names)}: " if names else ""
