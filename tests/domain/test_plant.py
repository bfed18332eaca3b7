"""The plant file's model refuses what would not work, and names the place."""

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.domain import escalation_policy, plant
from bridge.domain.place import Place
from tests.support.packing_line import line_spec, plant_file


def refused(kind: Any, **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(fields)
    return str(caught.value)


def plant_fields(**changes: Any) -> dict[str, Any]:
    return {**plant_file().model_dump(), **changes}


def test_the_example_is_a_plant() -> None:
    assert plant.Plant.model_validate(plant_fields()) == plant_file()


@pytest.mark.parametrize("bad", ["", "a/b", "+", "#", "$SYS", "-a", "a b", "ü", "a\n", "x" * 65])
def test_an_id_can_never_become_a_wildcard_or_a_level(bad: str) -> None:
    assert "pattern" in refused(plant.AreaConfig, id=bad, site="north")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"constraint": "robot"}, "robot"),
        ({"critical": ["bagger", "robot"]}, "robot"),
        ({"total_from": ["robot"]}, "robot"),
        ({"limits": [{"parameter": "p", "unit": "g", "upper": 1, "equipment": "robot"}]}, "robot"),
        ({"equipment": [{"id": "a"}, {"id": "a"}]}, "twice"),
        ({"equipment": []}, "at least 1"),
        ({"limits": [{"parameter": "p", "unit": "g"}]}, "lower, upper or both"),
        (
            {"limits": [{"parameter": "p", "unit": "g", "lower": 1, "upper": 2, "hysteresis": 0.5}]},
            "nothing lies inside",
        ),
        ({"typo": 1}, "typo"),
    ],
)
def test_a_line_names_what_is_wrong(changes: dict[str, Any], named: str) -> None:
    assert named in refused(
        plant.LineConfig, **{"id": "L1", "area": "pack", "equipment": [{"id": "bagger"}], **changes}
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"timezone": "Mars/Phobos"}, "Mars/Phobos"),
        ({"areas": [{"id": "bake", "site": "north"}]}, "area pack is not in this file"),
        ({"lines": [line_spec().model_dump(), line_spec().model_dump()]}, "L1"),
        ({"products": [{"id": "nuts"}, {"id": "nuts"}]}, "nuts"),
        ({"reasons": [{"code": "M", "text": ""}, {"code": "M", "text": ""}]}, "M"),
        ({"rules": {"micro_stop_seconds": 10}}, "micro_stop_seconds"),
        ({"rules": {"micro_stop_seconds": 601}}, "micro_stop_seconds"),
    ],
)
def test_a_plant_names_what_is_wrong(changes: dict[str, Any], named: str) -> None:
    assert named in refused(plant.Plant, **plant_fields(**changes))


def test_omitted_plant_fields_have_defaults() -> None:
    loaded = plant.Plant.model_validate(plant_fields(ladder={}, responders={"quality": ["viewer"]}, call_priority={}))
    assert loaded.ladder == escalation_policy.DEFAULT_POLICIES
    assert loaded.responders == {**escalation_policy.DEFAULT_RESPONDERS, "quality": ("viewer",)}
    assert loaded.call_priority == escalation_policy.DEFAULT_PRIORITY


def test_a_line_may_override_rules_of_the_plant() -> None:
    own = line_spec(rules={"micro_stop_seconds": 120})
    loaded = plant_file(own, micro_stop_seconds=30, auto_complete_jobs=True)
    assert loaded.rules_of(own).micro_stop_seconds == 120
    assert loaded.rules_of(own).auto_complete_jobs, "what a line leaves out is the plant's"
    assert loaded.rules_of(line_spec()).micro_stop_seconds == 30
    assert loaded.place_of(own) == Place("north", "pack", "L1")


def test_look_ups() -> None:
    loaded = plant_file()
    nuts, mech = loaded.find_product("nuts"), loaded.find_reason("MECH")
    assert nuts is not None
    assert nuts.ideal_cycle_seconds == 4
    assert mech is not None
    assert mech.call_after_minutes == 15
    assert (loaded.find_product(None), loaded.find_product("x"), loaded.find_reason(None), loaded.find_reason("x")) == (
        None,
        None,
        None,
        None,
    )
    assert line_spec().find_equipment("bagger") is not None
    assert line_spec().find_equipment("robot") is None
