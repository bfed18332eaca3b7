"""A journalled plant file stays readable when a later version bounds its numbers."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.domain.internal_inputs import plant_from_json, plant_to_json
from tests.support.in_process import PLANT


def journalled(change: dict[str, Any]) -> bytes:
    return json.dumps(json.loads(plant_to_json(PLANT)) | change).encode()


def test_numbers_that_an_earlier_version_accepted_become_the_nearest_allowed_ones() -> None:
    rules = {"oee_period_seconds": 0.0001, "counter_slack": 10**30, "restart_seconds": 5}
    plant = plant_from_json(journalled({"rules": rules}))
    assert (plant.rules.oee_period_seconds, plant.rules.counter_slack, plant.rules.restart_seconds) == (0.1, 10**12, 5)


def test_a_number_within_a_list_too() -> None:
    lines = json.loads(plant_to_json(PLANT))["lines"]
    lines[0]["pieces_per_count"] = 10**17
    plant = plant_from_json(journalled({"lines": lines}))
    assert 1 < plant.lines[0].pieces_per_count < 10**17
    assert plant.lines[1:] == PLANT.lines[1:]


@pytest.mark.parametrize("change", [{"rules": {"oee_period_seconds": "soon"}}, {"of_a_later_version": 1}, {"lines": 3}])
def test_anything_else_is_of_an_incompatible_version(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plant_from_json(journalled(change))
