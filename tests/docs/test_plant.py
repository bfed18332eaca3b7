import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bridge.domain import escalation_policy, plant, shifts

DOCUMENT = (Path(__file__).parents[2] / "docs" / "plant.md").read_text()
SECTIONS = dict(re.findall(r"^## `(\w+)`.*?\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
MODELS: dict[str, type[BaseModel]] = {
    "plant": plant.Plant,
    "area": plant.AreaConfig,
    "line": plant.LineConfig,
    "equipment": plant.EquipmentConfig,
    "counters": plant.CounterRule,
    "fault": plant.FaultDefinition,
    "limit": plant.MeasurementLimit,
    "product": plant.Product,
    "shift": shifts.ShiftConfig,
    "reason": plant.DowntimeReason,
    "ladder": escalation_policy.EscalationPolicy,
    "flood": escalation_policy.FloodRule,
    "rules": plant.Rules,
}


def test_every_table_of_the_plant_file_has_its_section() -> None:
    assert list(SECTIONS) == list(MODELS)


@pytest.mark.parametrize("section", MODELS)
def test_every_field_is_documented_with_its_default(section: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", SECTIONS[section], re.MULTILINE)
    fields = MODELS[section].model_fields
    assert [name for name, _ in rows] == list(fields)
    for name, cell in rows:
        field = fields[name]
        assert (cell.strip() == "-") == field.is_required(), name
        if isinstance(field.default, (bool, int, float)) or cell.startswith("`"):
            text = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
            assert cell.strip() == f"`{text}`", name


def test_the_bounds_of_every_number_are_documented() -> None:
    (section,) = re.findall(r"^## Bounds of numbers\n(.*?)(?=^## )", DOCUMENT, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    documented = {(name, *bounds) for names, *bounds in rows for name in re.findall(r"`(\w+)`", names)}
    assert documented == {
        (name, lower_bound(form), upper_bound(form))
        for model in MODELS.values()
        for name, field in model.model_json_schema()["properties"].items()
        for form in field.get("anyOf", [field])
        if form.get("type") in ("number", "integer")
    }


def lower_bound(form: dict[str, Any]) -> str:
    return number(form["minimum"]) if "minimum" in form else f"above {number(form['exclusiveMinimum'])}"


def upper_bound(form: dict[str, Any]) -> str:
    return number(form["maximum"]) if "maximum" in form else f"below {number(form['exclusiveMaximum'])}"


def number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def table(section: str, first: str) -> list[list[str]]:
    """Return the rows of the section's table whose head begins so."""
    (body,) = re.findall(rf"^\| {first} \|.*\n\| ---.*\n((?:\|.*\n)+)", SECTIONS[section], re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body.splitlines()]


def test_the_default_ladders_are_documented() -> None:
    assert table("ladder", "priority") == [
        [
            *(name, f"{rung.acknowledge_minutes:g}", f"{rung.resolve_minutes:g}", f"{rung.step_minutes:g}"),
            " / ".join(", ".join(level) for level in rung.recipients),
        ]
        for name, rung in escalation_policy.DEFAULT_POLICIES.items()
    ]


def test_the_responders_of_a_call_type_are_reported() -> None:
    assert table("ladder", "type") == [
        [name, escalation_policy.DEFAULT_PRIORITY[name], ", ".join(roles)]
        for name, roles in escalation_policy.DEFAULT_RESPONDERS.items()
    ]
