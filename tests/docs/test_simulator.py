"""docs/simulator.md names every profile, disturbance and field of the simulator's files, with its default."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from device_sim import plant_file, profile
from device_sim.disturbances.disturbance import Disturbance, GroupedDisturbance, LastingDisturbance, TimedDisturbance
from device_sim.disturbances.kinds import AnyDisturbance
from device_sim.truth.truth import Fate, Truth

DOCUMENT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
KINDS: dict[str, type[Disturbance]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(AnyDisturbance)[0])
}
COMES: dict[type[Disturbance], str] = {
    GroupedDisturbance: "timed, lasting, together",
    LastingDisturbance: "timed, lasting",
    TimedDisturbance: "timed",
    Disturbance: "always",
}
MODELS: dict[str, type[BaseModel]] = {
    "plant": plant_file.PlantSpec,
    "line": plant_file.LineSpec,
    "machine": plant_file.MachineSpec,
    "fault": plant_file.FaultSpec,
    "parameter": plant_file.ParameterSpec,
    "inspection": plant_file.InspectionSpec,
    "station": plant_file.StationSpec,
    "people": plant_file.PeopleSpec,
    "orders": plant_file.OrdersSpec,
}
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))


def rows(head: str) -> list[list[str]]:
    """Return the rows of the table whose head begins so."""
    (body,) = re.findall(rf"^\| {head} \|.*\n\| ---.*\n((?:\|.*\n?)+)", DOCUMENT, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body.splitlines()]


def shown(value: Any) -> str:
    """Return a default as the TOML file would have it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(shown, value))}]"
        case _:
            return f"{value:g}"


def test_the_profiles_are_documented_with_their_effects() -> None:
    documented = {name.strip("`"): (about, kinds.split(", ")) for name, about, kinds in rows("profile")}
    assert list(documented) == list(profile.NAMES)
    for name, (about, kinds) in documented.items():
        loaded = profile.load(name)
        assert about == loaded.about
        assert kinds == list(dict.fromkeys(disturbance.kind for disturbance in loaded.disturbances))


def test_every_disturbance_is_documented_with_its_fields() -> None:
    documented = {kind.strip("`"): (comes, fields) for kind, comes, fields, _ in rows("`kind`")}
    assert list(documented) == list(KINDS)
    for kind, (comes, fields) in documented.items():
        model = KINDS[kind]
        base = next(base_class for base_class in COMES if issubclass(model, base_class))
        assert comes == COMES[base], kind
        own = [
            f"`{name}`" + ("" if field.is_required() else f" = {shown(field.default)}")
            for name, field in model.model_fields.items()
            if name not in {*base.model_fields, "kind"} or (name == "seconds" and base is Disturbance)
        ]
        assert fields == ", ".join(own), kind


def test_chaos_has_every_disturbance() -> None:
    assert {disturbance.kind for disturbance in profile.load("chaos").disturbances} == set(KINDS)


def test_every_fate_and_every_list_of_the_truth_is_documented() -> None:
    fates = {name for row in rows("`fate`") for name in re.findall(r"`([a-z0-9 ]+)`", row[0] + row[1])}
    assert fates == set(get_args(Fate))
    lists = {name for row in rows("`Truth`") for name in re.findall(r"^`(\w+)`", row[0])}
    inner = {"seed", "profile", "start", "until", "numbers"}
    assert lists == set(Truth.__dataclass_fields__) - inner


def test_the_first_line_of_a_truth_file_is_documented() -> None:
    head = Truth(1, "clean", 0, 0).header()
    (paragraph,) = re.findall(r"^The first line is the run itself, (.*?)\n\n", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert f'"truth": "{head.pop("truth")}"' in paragraph
    assert head.keys() <= set(re.findall(r"`(\w+)`", paragraph))


def test_the_files_of_disturbances_that_are_shown_can_be_used(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for text in examples:
        (tmp_path / "mine.toml").write_text(text)
        profile.load(str(tmp_path / "mine.toml"), spec=plant_file.load(plant_file.SHIPPED))


def test_every_table_of_the_plant_file_has_its_section() -> None:
    assert list(SECTIONS) == list(MODELS)


@pytest.mark.parametrize("section", MODELS)
def test_every_field_of_the_plant_file_is_documented_with_its_default(section: str) -> None:
    documented = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", SECTIONS[section], re.MULTILINE)
    fields = MODELS[section].model_fields
    assert [name for name, _, _ in documented] == list(fields)
    for name, default, meaning in documented:
        assert meaning.strip()
        assert (default.strip() == "-") == fields[name].is_required(), name
        if default.startswith("`"):
            assert default.strip() == f"`{shown(fields[name].default)}`", name
        elif not fields[name].is_required():
            assert not isinstance(fields[name].default, (bool, int, float, str)), name
