"""TOML files that people write: read, validated by pydantic, and refused with every fault and its place."""

import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from device_sim.errors import SimulatorError, suggest

RAISED: Final = "Value error, "  # pydantic's prefix to our validators' messages


class SimulationFileError(SimulatorError):
    """Raised when a plant file or a profile cannot be used; the message names every fault with its place."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))


class SimulationModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=SimulationModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises `SimulationFileError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SimulationFileError(path, [str(error)]) from error


def validate(path: Path, tree: dict[str, Any], model: type[Model]) -> Model:
    """Return the model of a file's content; raises `SimulationFileError`."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        faults = [_place(tree, fault["loc"]) + _describe(fault) for fault in error.errors()]
        raise SimulationFileError(path, faults) from error


def _describe(fault: ErrorDetails) -> str:
    """Return a readable message, in place of pydantic's where that is unclear."""
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
        case _:
            return fault["msg"].removeprefix(RAISED)


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
