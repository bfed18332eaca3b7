"""The translation of validation errors: the fault and the field, in our words."""

import math
from datetime import date, time
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import pytest
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from bridge.domain.access.policy import Policy
from bridge.domain.ids import ID_CHARACTERS, Id
from bridge.domain.plant import Plant
from bridge.domain.validation_errors import FieldFault, describe_faults, dotted
from bridge.settings.settings import Settings


class Inner(Struct):
    at: Annotated[int, Meta(ge=0)]
    word: Literal["a", "b"] = "a"


class Outer(Struct):
    inner: Inner
    name: Annotated[str, Meta(pattern=r"^x\Z", max_length=2)] = "x"
    several: Annotated[list[Inner], Meta(max_length=1)] = []
    by_name: dict[str, Inner] = {}
    line: Id = "L1"
    either: int | float | str | None = None


@pytest.mark.parametrize(
    ("tree", "kind", "field", "message"),
    [
        ({}, "missing_field", "inner", "frame needs inner"),
        ({"inner": {}}, "missing_field", "inner.at", "frame needs inner.at"),
        ({"inner": {"at": "1"}}, "wrong_type", "inner.at", "frame: invalid value for `inner.at`: must be an integer"),
        ({"inner": {"at": -1}}, "out_of_range", "inner.at", "frame: invalid value for `inner.at`: must be at least 0"),
        (
            {"inner": {"at": 1, "word": "`$.x, got `"}},
            "not_allowed",
            "inner.word",
            "frame: invalid value for `inner.word`",
        ),
        ({"inner": {"at": 1}, "name": "x\n"}, "bad_format", "name", "frame: invalid value for `name`"),
        (
            {"inner": {"at": 1}, "name": "xxx"},
            "out_of_range",
            "name",
            "frame: invalid value for `name`: length must be at most 2",
        ),
        (
            {"inner": {"at": 1}, "line": "L 1"},
            "bad_format",
            "line",
            f"frame: invalid value for `line`: must be an id: {ID_CHARACTERS}",
        ),
        (
            {"inner": {"at": 1}, "either": {}},
            "wrong_type",
            "either",
            "frame: invalid value for `either`: must be an integer, a number or a string",
        ),
        ({"inner": {"at": 1}, "several": [{"at": 1}, {"at": 1}]}, "out_of_range", "several", None),
        ({"inner": {"at": 1}, "several": [{"at": None}]}, "wrong_type", "several.at", None),
        ({"inner": {"at": 1}, "by_name": {"` - at `$.evil`": {"at": None}}}, "wrong_type", "by_name.at", None),
    ],
)
def test_a_fault_of_a_struct_has_a_kind_and_a_field(
    tree: dict[str, Any], kind: str, field: str, message: str | None
) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(tree, Outer)
    fault = FieldFault.of(caught.value)
    assert (fault.kind, fault.field) == (kind, field)
    if message is not None:
        assert fault.describe("frame") == message


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    speed: int = 0
    rated: int = 0

    @model_validator(mode="after")
    def _check(self) -> "Item":
        if self.speed > 9:
            raise ValueError("slow down")
        return self


class File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: tuple[Item, ...] = ()
    named: dict[str, Item] = {}
    colours: dict[Colour, Item] = {}
    by_number: dict[int, str] = {}
    port: Annotated[int, Field(ge=1, le=65_535)] = 1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    on: bool = False
    colour: Literal["red", "blue", "5"] = "red"
    line: Id = "L1"
    text: Annotated[str, Field(min_length=1, max_length=3)] = "abc"
    long: Annotated[str, Field(min_length=2)] = "abc"
    pair: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] = ("a", "b")
    secret: SecretStr | None = None
    path: Path = Path()
    at: time = time(0)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"itms": []}, "itms: no such field; did you mean items?"),
        ({"items": [{}, {"sped": 1}]}, "items[1].sped: no such field; did you mean speed?"),
        ({"named": {"a": {"rate": 1}}}, "named.a.rate: no such field; did you mean rated?"),
        ({"quux": 1}, "quux: no such field"),
        ({"items": [{"speed": 10}]}, "items[0]: slow down"),
        ({"items": {}}, "items: must be a list of tables, each after [[items]]"),
        ({"items": [5]}, "items[0]: must be a table"),
        ({"named": 5}, "named: must be a table, such as [named]"),
        ({"named": {"a": "x"}}, "named.a: must be a table, such as [named.a]"),
        ({"colours": {"green": {}}}, 'colours.green: the name must be "red" or "blue", not "green"'),
        ({"by_number": {"x": "y"}}, 'by_number.x: the name must be a whole number, not "x"'),
        ({"port": 70_000}, "port: must be at most 65535, not 70000"),
        ({"port": 0}, "port: must be at least 1, not 0"),
        ({"port": 1 << 20_000}, "port: must be at most 65535"),
        ({"port": "mqtt"}, 'port: must be a whole number, not "mqtt"'),
        ({"port": 1.5}, "port: must be a whole number, not 1.5"),
        ({"port": []}, "port: must be a whole number"),
        ({"share": 0}, "share: must be above 0, not 0"),
        ({"share": 1}, "share: must be below 1, not 1"),
        ({"share": "x"}, 'share: must be a number, not "x"'),
        ({"on": "maybe"}, 'on: must be true or false, not "maybe"'),
        ({"colour": 5}, 'colour: must be "red", "blue" or "5", not 5'),
        ({"line": "L 1"}, f'line: "L 1" is not an id: {ID_CHARACTERS}'),
        ({"text": ""}, "text: must not be empty"),
        ({"text": "x" * 500}, f'text: must have at most 3 characters, not "{"x" * 60}…"'),
        ({"text": True}, "text: must be a string, not true"),
        ({"text": "four"}, 'text: must have at most 3 characters, not "four"'),
        ({"long": "a"}, 'long: must have at least 2 characters, not "a"'),
        ({"pair": "a"}, "pair: must be a list"),
        ({"pair": ["a"]}, "pair: must have at least 2 items, not 1"),
        ({"pair": ["a", "b", "c"]}, "pair: must have at most 2 items, not 3"),
        ({"pair": ["a", 5]}, "pair[1]: must be a string, not 5"),
        ({"secret": 12_345}, "secret: must be a string"),
        ({"path": 5}, "path: must be a string, not 5"),
        ({"at": "noon"}, 'at: must be a time, such as 06:30:00, not "noon"'),
    ],
)
def test_a_fault_of_a_file_has_its_location_and_the_allowed_values(tree: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        File.model_validate(tree)
    assert [f"{dotted(location)}: {text}" for location, text in describe_faults(File, caught.value)] == [expected]


def models_of(annotation: object) -> set[type[BaseModel]]:
    """Return the models that an annotation contains, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = (models_of(field.annotation) for field in annotation.model_fields.values())
        return {annotation}.union(*inner)
    return set().union(*map(models_of, get_args(annotation)))


MODELS = sorted(models_of(Settings) | models_of(Plant) | models_of(Policy), key=lambda model: model.__name__)
WRONG_VALUES: tuple[object, ...] = (
    *(None, True, -1, 0, 1.5, 10**30, math.nan, math.inf, "", "a b", "x" * 100, date(2026, 1, 1), time(1)),
    *([], ["a b"], [5], [[]], [{}], [""] * 6_000, {}, {"a": 1}, {"low": 5}, {"safety": 5}, {"5": 5}),
)


@pytest.mark.parametrize("model", MODELS)
def test_no_fault_of_a_file_is_in_the_words_of_pydantic(model: type[BaseModel]) -> None:
    for name, value in product(model.model_fields, WRONG_VALUES):
        try:
            model.model_validate({name: value})
        except ValidationError as error:
            texts = [text for _, text in describe_faults(model, error)]
            foreign = {fault["msg"] for fault in error.errors() if fault["type"] != "value_error"}
            assert foreign.isdisjoint(texts), (name, value)
