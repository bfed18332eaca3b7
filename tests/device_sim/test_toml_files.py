"""Faults in files of the simulator: each has a message for the author of the file, none in the words of pydantic."""

import copy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import device_sim
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile
from device_sim.toml_files import REQUIREMENTS, SimulationFileError, SimulationModel, read_toml, validate

FOLDER = Path(device_sim.__file__).parent
PLANT = tomllib.loads((FOLDER / "plant.toml").read_text())
PROFILES = {path.stem: tomllib.loads(path.read_text()) for path in sorted((FOLDER / "profiles").glob("*.toml"))}
MISFITS: tuple[Any, ...] = ([], {}, "x" * 99, "", -1, 1.5, 10**30, float("inf"), True, [1], {"a": 1}, [["x"]])
Steps = tuple[str | int, ...]


def places(tree: Any, path: Steps = ()) -> Iterator[Steps]:
    """Yield the path of every value in the tree, except its root."""
    for step, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, step)
        yield from places(inner, (*path, step))


def changed(tree: dict[str, Any], path: Steps, value: Any) -> dict[str, Any]:
    copied = node = copy.deepcopy(tree)
    for step in path[:-1]:
        node = node[step]  # type: ignore[index] # a step of `places`
    node[path[-1]] = value  # type: ignore[index]
    return copied


def refusals(model: type[SimulationModel], tree: dict[str, Any]) -> Iterator[tuple[str, ValidationError]]:
    """Yield the message for every misfit in every place where the model refuses it, and pydantic's error."""
    for path in places(tree):
        for misfit in MISFITS:
            try:
                validate(Path("file"), changed(tree, path, misfit), model)
            except SimulationFileError as refused:
                cause = refused.__cause__
                yield str(refused), cause if isinstance(cause, ValidationError) else pytest.fail(repr(cause))


@pytest.mark.parametrize(
    ("model", "tree"),
    [
        (PlantSpec, {**PLANT, "lines": PLANT["lines"][:1]}),
        *((Profile, {"name": name, **tree}) for name, tree in PROFILES.items()),
    ],
    ids=["plant", *PROFILES],
)
def test_no_message_is_in_the_words_of_pydantic(model: type[SimulationModel], tree: dict[str, Any]) -> None:
    for message, error in refusals(model, tree):
        for fault in error.errors():
            assert fault["type"] in REQUIREMENTS or fault["type"] in {
                *("missing", "value_error", "extra_forbidden", "union_tag_invalid", "union_tag_not_found"),
            }
        assert not [words for words in ("Input ", "Field required", "Tuple", "valid ") if words in message], message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"site": ["s"]}, "site: must be a string"),
        (
            {"site": "a/b"},
            "site: must be an id: a letter or digit, then up to 63 letters, digits, '.', '_' or '-', not \"a/b\"",
        ),
        ({"site": 7}, "site: must be a string, not 7"),
        ({"lines": []}, "lines: must not be empty"),
        ({"lines": True}, "lines: must be a list, not true"),
        ({"replan_minutes": [0, 10]}, "replan_minutes.0: must be above 0, not 0"),
        ({"replan_minutes": [5, 86_401]}, "replan_minutes.1: must be at most 86400, not 86401"),
        ({"replan_minutes": ["x" * 99, 9]}, f'replan_minutes.0: must be a number, not "{"x" * 59}…'),
    ],
)
def test_a_message_names_place_requirement_and_value(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(SimulationFileError) as caught:
        validate(Path("plant.toml"), {**PLANT, **change}, PlantSpec)
    assert str(caught.value).splitlines() == [f"plant.toml: {expected}"]


def test_a_file_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(SimulationFileError) as caught:
        read_toml(path)
    assert str(caught.value) == f"{path}: No such file or directory"


@pytest.mark.parametrize("value", ["[" * 5_000, "9" * 5_000], ids=["nested", "long"])
def test_a_file_that_the_parser_cannot_take_is_named(tmp_path: Path, value: str) -> None:
    path = tmp_path / "plant.toml"
    path.write_text(f"a = {value}")
    with pytest.raises(SimulationFileError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: ")
