"""Translation of the validation errors of both model libraries into plain sentences.

Pydantic validates files; their authors get each fault with its location, the value, and what is allowed. msgspec
validates what devices and dashboards send; its message is reduced to the kind of fault, a field of ours and what is
allowed there, without the sender's text.
"""

import difflib
import json
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from bridge.domain.ids import ID_CHARACTERS, MODEL_ID_PATTERN, STRUCT_ID_PATTERN

Location = tuple[int | str, ...]

# -- pydantic ---------------------------------------------------------------------------------------------------------

_RAISED: Final = "Value error, "  # pydantic's prefix to the messages of our own validators
_KEY: Final = "[key]"  # pydantic's last step in the location of a dictionary's key
_MAX_QUOTED_CHARS: Final = 60
_REQUIREMENTS: Final[Mapping[str, str]] = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a string",
    "path_type": "must be a string",
    "time_type": "must be a time, such as 06:30:00",
    "time_parsing": "must be a time, such as 06:30:00",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} items, not {actual_length}",
    "too_short": "must have at least {min_length} items, not {actual_length}",
}
"""Pydantic's type of a fault -> what the field must be, with values from the fault's context."""


def describe_faults(model: type[BaseModel], error: ValidationError) -> list[tuple[Location, str]]:
    """Return the location and a message for each fault; for an unknown field, with the closest known one.

    A message quotes the rejected value, shortened, unless the field is a secret.
    """
    faults = error.errors()
    outer = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    # an invalid item also makes its list seem too short; only the item's own fault helps
    return [_describe_fault(model, fault) for fault in faults if fault["loc"] not in outer]


def dotted(location: Location) -> str:
    """Return a location as text: `broker.port`, `lines[2].id`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).removeprefix(".")


def _describe_fault(model: type[BaseModel], fault: ErrorDetails) -> tuple[Location, str]:
    location = fault["loc"]
    if location[-1:] == (_KEY,):
        return location[:-1], f"the name {_describe_value(fault, quotable=True)}"
    match fault["type"]:
        case "missing":
            text = "missing"
        case "extra_forbidden":
            text = "no such field" + _suggestion(str(location[-1]), _fields_at(model, location[:-1]))
        case "model_type" | "dict_type":
            named = all(isinstance(step, str) for step in location)
            text = "must be a table" + (f", such as [{dotted(location)}]" if named else "")
        case "tuple_type":
            of_tables = _model_in(_annotation_at(model, location)) is not None
            text = "must be a list" + (f" of tables, each after [[{dotted(location)}]]" if of_tables else "")
        case _:
            text = _describe_value(fault, quotable=not _is_secret(_annotation_at(model, location)))
    return location, text


def _describe_value(fault: ErrorDetails, *, quotable: bool) -> str:
    context = {name: _plain(value) for name, value in fault.get("ctx", {}).items()}
    quoted = _quote(fault["input"]) if quotable else None
    if context.get("pattern") == MODEL_ID_PATTERN:
        return f"{quoted} is not an id: {ID_CHARACTERS}"
    requirement = _REQUIREMENTS.get(fault["type"])
    if requirement is None:
        return fault["msg"].removeprefix(_RAISED)
    if context.get("min_length") == 1:
        return "must not be empty"
    return requirement.format(**context) + (f", not {quoted}" if quoted else "")


def _plain(value: object) -> object:
    """Return a limit without a fraction of zero, and alternatives in the quotation marks of TOML."""
    if isinstance(value, str):
        return value.replace("'", '"')
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _quote(value: object) -> str | None:
    """Return a scalar as TOML writes it, at most `_MAX_QUOTED_CHARS` of it; None for what contains other values."""
    if isinstance(value, str):
        shortened = value if len(value) <= _MAX_QUOTED_CHARS else f"{value[:_MAX_QUOTED_CHARS]}…"
        return json.dumps(shortened, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _MAX_QUOTED_CHARS:
        return None
    return None if isinstance(value, Mapping | Sequence) else str(value)


def _suggestion(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def _fields_at(model: type[BaseModel], path: Location) -> Iterable[str]:
    inner = _model_in(_annotation_at(model, path))
    return () if inner is None else inner.model_fields


def _annotation_at(model: type[BaseModel], path: Location) -> object:
    annotation: object = model
    for step in path:
        inner = _model_in(annotation)
        field = None if inner is None or isinstance(step, int) else inner.model_fields.get(step)
        if field is not None:  # a list's index and a dictionary's key stay in the annotation of their items
            annotation = field.annotation
    return annotation


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that an annotation is or contains: `Line` for `tuple[Line, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(map(_is_secret, typing.get_args(annotation)))


# -- msgspec ----------------------------------------------------------------------------------------------------------

FaultKind = Literal["missing_field", "not_allowed", "wrong_type", "bad_format", "out_of_range"]

_SENTENCE: Final = re.compile(r"(.*?)(?: - at `\$([a-z_.\[\]0-9]*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `([a-z_]+)`")
_EXPECTED: Final = re.compile(
    r"Expected `([a-z| ]+)`(?:, got `[a-z]+`| (of length )?([<>]=?) ([0-9.]+)| matching regex (.*))"
)
_INDEX: Final = re.compile(r"\[[0-9.]*\]")
_FAULTS: Final[Sequence[tuple[str, FaultKind]]] = (
    ("Invalid enum value", "not_allowed"),  # first: it quotes the sender's text, which may contain one of the others
    (", got ", "wrong_type"),
    (" matching regex ", "bad_format"),
    (" of length ", "out_of_range"),
    ("Expected ", "out_of_range"),
)
_TYPES: Final[Mapping[str, str]] = {
    "array": "an array",
    "bool": "true or false",
    "float": "a number",
    "int": "an integer",
    "object": "an object",
    "str": "a string",
}
_BOUNDS: Final[Mapping[str, str]] = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}


@dataclass(frozen=True, slots=True)
class FieldFault:
    """The first fault of a struct. `field` is the path of its field, such as `packml.state`.

    `requirement` says what the field must be; it is empty where msgspec does not say it.
    """

    kind: FaultKind
    field: str
    requirement: str = ""

    @classmethod
    def of(cls, error: msgspec.ValidationError) -> "FieldFault":
        match = _SENTENCE.fullmatch(str(error))
        assert match is not None  # both of its parts may be empty
        sentence, path = match[1], match[2] or ""
        field = _INDEX.sub("", path).lstrip(".")
        if missing := _MISSING.fullmatch(sentence):
            return cls("missing_field", f"{field}.{missing[1]}" if field else missing[1])
        kind: FaultKind = next((kind for sign, kind in _FAULTS if sign in sentence), "wrong_type")
        return cls(kind, field, _requirement(sentence))

    def describe(self, subject: str) -> str:
        """Return a message for the sender of `subject`."""
        if self.kind == "missing_field":
            return f"{subject} needs {self.field}"
        message = invalid_value(self.field, subject)
        return f"{message}: {self.requirement}" if self.requirement else message


def _requirement(sentence: str) -> str:
    match = _EXPECTED.fullmatch(sentence)
    if match is None:
        return ""
    types, length, bound, limit, pattern = match.groups()
    if pattern is not None:
        return f"must be an id: {ID_CHARACTERS}" if pattern == repr(STRUCT_ID_PATTERN) else ""
    if bound is not None:
        return f"{'length ' if length else ''}must be {_BOUNDS[bound]} {limit}"
    *others, last = [_TYPES[name] for name in types.split(" | ") if name != "null"]
    return f"must be {', '.join(others)} or {last}" if others else f"must be {last}"


def invalid_value(field: str, subject: str) -> str:
    """Return the message for a field whose value is not allowed in `subject`."""
    return f"{subject}: invalid value for `{field}`"
