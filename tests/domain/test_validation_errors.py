"""The translation of validation errors: the fault and the field, in our words."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bridge.domain.validation_errors import FieldFault, describe_faults, dotted


class Inner(Struct):
    at: Annotated[int, Meta(ge=0)]
    word: Literal["a", "b"] = "a"


class Outer(Struct):
    inner: Inner
    name: Annotated[str, Meta(pattern=r"^x\Z", max_length=2)] = "x"
    several: Annotated[list[Inner], Meta(max_length=1)] = []
    by_name: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("tree", "kind", "field", "message"),
    [
        ({}, "missing_field", "inner", "frame needs inner"),
        ({"inner": {}}, "missing_field", "inner.at", "frame needs inner.at"),
        ({"inner": {"at": "1"}}, "wrong_type", "inner.at", "frame: invalid value for `inner.at`"),
        ({"inner": {"at": -1}}, "out_of_range", "inner.at", "frame: invalid value for `inner.at`"),
        ({"inner": {"at": 1, "word": "`$.x, got `"}}, "not_allowed", "inner.word", None),
        ({"inner": {"at": 1}, "name": "x\n"}, "bad_format", "name", None),
        ({"inner": {"at": 1}, "name": "xxx"}, "out_of_range", "name", None),
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


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"itms": []}, "itms: no such field; did you mean items?"),
        ({"items": [{}, {"sped": 1}]}, "items.1.sped: no such field; did you mean speed?"),
        ({"named": {"a": {"rate": 1}}}, "named.a.rate: no such field; did you mean rated?"),
        ({"quux": 1}, "quux: no such field"),
        ({"items": [{"speed": 10}]}, "items.0: slow down"),
    ],
)
def test_a_fault_of_a_file_has_its_place_and_the_way_out(tree: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        File.model_validate(tree)
    assert [f"{dotted(location)}: {text}" for location, text in describe_faults(File, caught.value)] == [expected]
