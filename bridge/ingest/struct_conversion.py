"""Conversion of a payload's tree into a struct, and the bounded set of reasons for a rejection.

A null field counts as absent. So does an optional text field that is empty: a PLC has no null, and sends an empty
string for an unset value.
"""

import re
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, inspect

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
        raise PayloadRejected(_reason(str(error))) from None


def drop_absent(tree: dict[str, Any], shape: type[Struct]) -> dict[str, Any]:
    """Return `tree` without the fields that count as absent, in the structs inside it too."""
    may_be_empty, inner = _fields_of(shape)
    found = {
        name: value for name, value in tree.items() if value is not None and (value != "" or name not in may_be_empty)
    }
    for name, each in inner.items():
        if isinstance(value := found.get(name), dict):
            found[name] = drop_absent(value, each)
    return found


@cache
def _fields_of(shape: type[Struct]) -> tuple[frozenset[str], dict[str, type[Struct]]]:
    """Return the optional text fields of `shape`, and its fields that are structs."""
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    may_be_empty, inner = set(), {}
    for field in info.fields:
        types = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        for each in types:
            if isinstance(each, inspect.StructType):
                inner[field.name] = each.cls
            elif not field.required and isinstance(each, inspect.StrType | inspect.LiteralType):
                may_be_empty.add(field.name)
    return frozenset(may_be_empty), inner


def _reason(text: str) -> str:
    """Convert msgspec's message into `{fault}:{field}`; the field is one of ours, never the sender's text."""
    match = _SENTENCE.fullmatch(text)
    assert match is not None  # both of its parts may be empty
    sentence, path = match[1], match[2] or ""
    field = _INDEX.sub("", path).lstrip(".")
    if missing := _MISSING.fullmatch(sentence):
        return f"missing_field:{field}.{missing[1]}" if field else f"missing_field:{missing[1]}"
    fault = next((name for sign, name in _FAULTS if sign in sentence), "wrong_type")
    return f"{fault}:{field}"


_SENTENCE = re.compile(r"(.*?)(?: - at `\$([a-z_.\[\]0-9]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `([a-z_]+)`")
_INDEX = re.compile(r"\[[0-9.]*\]")
_FAULTS: Final = (
    ("Invalid enum value", "not_allowed"),  # first: it quotes the sender's text, which may contain one of the others
    (", got ", "wrong_type"),
    (" matching regex ", "bad_format"),
    (" of length ", "out_of_range"),
    ("Expected ", "out_of_range"),
)
