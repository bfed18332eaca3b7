"""Every number of the plant file has bounds, and the floor runs at each of them."""

from collections.abc import Iterator
from math import nextafter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from bridge.domain import escalation_policy, plant
from bridge.domain.envelope import encode_event
from bridge.domain.line.floor import Floor
from bridge.domain.reports import Disposition
from bridge.ingest.decoders import build_decoders

NOW = 1_767_600_000_000
LAST = 2**64 - 1
REPORTS = [
    ("M1/state", '{"state":"running","speed":1e300}'),
    ("M1/counts", '{"total":1,"good":1}'),
    ("M1/counts", '{"total":100,"good":100}'),
    ("_/job", f'{{"action":"assign","job_id":"J1","product":"P1","target_quantity":{LAST}}}'),
    ("_/job", '{"action":"start","job_id":"J1"}'),
    ("M1/counts", '{"total":200,"good":200}'),
    ("M1/state", '{"state":"stopped"}'),
    ("_/changeover", '{"action":"start","to_product":"P1"}'),
    ("_/changeover", '{"action":"complete"}'),
    ("M1/state", '{"state":"running"}'),
    ("M1/counts", f'{{"total":{LAST},"good":{LAST}}}'),
    ("M1/measurement", '{"parameter":"T","value":1.7e308,"unit":"C"}'),
    ("M1/measurement", '{"parameter":"T","value":-1.7e308,"unit":"C"}'),
    ("M1/inspection", f'{{"inspected":{LAST},"failed":{LAST}}}'),
    ("M1/andon", '{"action":"raise","andon_type":"equipment"}'),
    ("M1/state", '{"state":"fault","reason_code":"MECH"}'),
]
MODELS: tuple[type[BaseModel], ...] = (
    plant.Rules,
    plant.CounterRule,
    plant.FaultDefinition,
    plant.MeasurementLimit,
    plant.EquipmentConfig,
    plant.Product,
    plant.LineConfig,
    plant.DowntimeReason,
    escalation_policy.EscalationPolicy,
    escalation_policy.FloodRule,
)


def numbers(model: type[BaseModel]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the schema of each number of a model."""
    for name, field in model.model_json_schema()["properties"].items():
        for form in field.get("anyOf", [field]):
            if form.get("type") in ("number", "integer"):
                yield name, form


NUMBERS = [(model, name, form) for model in MODELS for name, form in numbers(model)]


def lowest(form: dict[str, Any]) -> float:
    bound: float = form["minimum"] if "minimum" in form else nextafter(form["exclusiveMinimum"], float("inf"))
    return bound


def highest(form: dict[str, Any]) -> float:
    bound: float = form["maximum"] if "maximum" in form else nextafter(form["exclusiveMaximum"], float("-inf"))
    return bound


@pytest.mark.parametrize(("model", "name", "form"), NUMBERS, ids=lambda part: getattr(part, "__name__", None))
def test_every_number_has_bounds(model: type[BaseModel], name: str, form: dict[str, Any]) -> None:
    assert {"minimum", "exclusiveMinimum"} & set(form), (model, name)
    assert {"maximum", "exclusiveMaximum"} & set(form), (model, name)


def run(config: plant.Plant) -> None:
    """Run the reports twice, encode every event and checkpoint after each of them."""
    floor = Floor(config)
    decode = build_decoders(max_bytes=65_536)
    now = NOW
    for topic, payload in REPORTS * 2:
        now += 5_000
        list(floor.tick(now))
        message = decode(f"report/S/A/L1/{topic}", payload.encode(), received_at=now, cause="input:1", retained=False)
        if not isinstance(message, Disposition):
            for event in floor.apply(message, now).events:
                encode_event(event, stream="s", epoch="e", offset=1)
        floor.checkpoint("L1")
    for _ in range(4):
        now += 30_000
        list(floor.tick(now))
    floor.checkpoint("L1")


@st.composite
def extreme_plants(draw: st.DrawFn) -> dict[str, Any]:
    def extremes(model: type[BaseModel]) -> dict[str, Any]:
        bounds = {name: st.sampled_from([lowest(form), highest(form)]) for name, form in numbers(model)}
        return draw(st.fixed_dictionaries({}, optional=bounds))

    limit = extremes(plant.MeasurementLimit)
    limit.pop("lower" if draw(st.booleans()) else "upper", None)
    limit = {"upper": 1.0, **limit} if "lower" not in limit else limit
    flood = extremes(escalation_policy.FloodRule)
    flood["below"] = min(flood.get("below", 1), flood.get("calls", 10))
    rung = escalation_policy.DEFAULT_POLICIES["high"].model_dump()
    machine = {"id": "M1", **extremes(plant.EquipmentConfig), "counters": extremes(plant.CounterRule)}
    return {
        "name": "P",
        "areas": [{"id": "A", "site": "S"}],
        "products": [{"id": "P1", **extremes(plant.Product)}],
        "reasons": [{"code": "MECH", "text": "", **extremes(plant.DowntimeReason)}],
        "rules": extremes(plant.Rules),
        "flood": flood,
        "ladder": {"high": {**rung, **extremes(escalation_policy.EscalationPolicy)}},
        "lines": [
            {
                "id": "L1", "area": "A", "equipment": [machine], "total_from": ["M1"], "good_from": ["M1"],
                "limits": [{"parameter": "T", "unit": "C", **limit}], **extremes(plant.LineConfig),
            }
        ],
    }  # fmt: skip


@settings(max_examples=60)
@given(extreme_plants())
def test_the_floor_runs_every_plant_file_that_is_accepted(tree: dict[str, Any]) -> None:
    run(plant.Plant.model_validate(tree))


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (plant.Rules, {"oee_period_seconds": 0.0001}),
        (plant.LineConfig, {"pieces_per_count": 10**17}),
        (plant.DowntimeReason, {"call_after_minutes": 1e300}),
        (plant.CounterRule, {"max_rate_per_minute": 5e-324}),
        (plant.EquipmentConfig, {"packml_modes": {2**31: "setup"}}),
    ],
)
def test_a_number_that_the_floor_could_not_run_is_refused(model: type[BaseModel], fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(ValidationError, match=name):
        model.model_validate(fields)


def test_a_misread_register_stops_no_line_that_counts_several_pieces() -> None:
    machine = {"id": "M1"}
    line = {"id": "L1", "area": "A", "equipment": [machine], "total_from": ["M1"], "pieces_per_count": 2}
    run(plant.Plant.model_validate({"name": "P", "areas": [{"id": "A", "site": "S"}], "lines": [line]}))
