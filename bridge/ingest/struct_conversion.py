"""Conversion of a payload's tree into a struct, and the bounded set of reasons for a rejection.

A null field counts as absent. So does an optional text field that is empty: a PLC has no null, and sends an empty
string for an unset value.
"""

from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from bridge.domain.validation_errors import FieldFault

T = TypeVar("T", bound=Struct)


class PayloadRejected(Exception):
    """A payload that is not allowed on its topic: the sender's fault. `reason` is one of a bounded set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def convert(tree: dict[str, Any], shape: type[T]) -> T:
    """Convert `tree` into a struct, without absent fields; raise PayloadRejected."""
    try:
        return msgspec.convert(drop_absent(tree, shape), shape)
    except msgspec.ValidationError as error:
        fault = FieldFault.of(error)
        raise PayloadRejected(f"{fault.kind}:{fault.field}") from None


def drop_absent(tree: dict[str, Any], shape: type[Struct]) -> dict[str, Any]:
    """Return `tree` without the fields that count as absent, in the structs inside it too."""
    empty_is_absent, inner_structs = _fields_of(shape)
    present = {
        name: value
        for name, value in tree.items()
        if value is not None and (value != "" or name not in empty_is_absent)
    }
    for name, inner_struct in inner_structs.items():
        if isinstance(value := present.get(name), dict):
            present[name] = drop_absent(value, inner_struct)
    return present


@cache
def _fields_of(shape: type[Struct]) -> tuple[frozenset[str], dict[str, type[Struct]]]:
    """Return the optional text fields of `shape`, and its fields that are structs."""
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    optional_texts, inner_structs = set(), {}
    for field in info.fields:
        types = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        for field_type in types:
            if isinstance(field_type, inspect.StructType):
                inner_structs[field.name] = field_type.cls
            elif not field.required and isinstance(field_type, inspect.StrType | inspect.LiteralType):
                optional_texts.add(field.name)
    return frozenset(optional_texts), inner_structs
