"""Translation of the validation errors of both model libraries, without their wording and the sender's text.

Pydantic validates files; their authors get each fault with its place and the way out. msgspec validates what devices
and dashboards send; its message is reduced to the kind of fault and a field of ours.
"""

import difflib
import re
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]

# -- pydantic ---------------------------------------------------------------------------------------------------------

_RAISED: Final = "Value error, "  # pydantic's prefix to the messages of our own validators


def describe_faults(model: type[BaseModel], error: ValidationError) -> list[tuple[Location, str]]:
    """Return the location and a message for each fault; for an unknown field, with the closest known one."""
    return [(fault["loc"], _describe_fault(model, fault)) for fault in error.errors()]


def dotted(location: Location) -> str:
    """Return a location as text: `broker.port`."""
    return ".".join(map(str, location))


def _describe_fault(model: type[BaseModel], fault: ErrorDetails) -> str:
    if fault["type"] != "extra_forbidden":
        return fault["msg"].removeprefix(_RAISED)
    *path, name = fault["loc"]
    return "no such field" + _suggestion(str(name), _fields_at(model, path))


def _suggestion(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def _fields_at(model: type[BaseModel] | None, path: Sequence[int | str]) -> Iterable[str]:
    for step in path:
        field = None if model is None or isinstance(step, int) else model.model_fields.get(step)
        if field is not None:  # a list's index and a dictionary's key stay in the model of their items
            model = _model_in(field.annotation)
    return () if model is None else model.model_fields


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that an annotation is or contains: `Line` for `tuple[Line, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)


# -- msgspec ----------------------------------------------------------------------------------------------------------

FaultKind = Literal["missing_field", "not_allowed", "wrong_type", "bad_format", "out_of_range"]

_SENTENCE: Final = re.compile(r"(.*?)(?: - at `\$([a-z_.\[\]0-9]*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `([a-z_]+)`")
_INDEX: Final = re.compile(r"\[[0-9.]*\]")
_FAULTS: Final[Sequence[tuple[str, FaultKind]]] = (
    ("Invalid enum value", "not_allowed"),  # first: it quotes the sender's text, which may contain one of the others
    (", got ", "wrong_type"),
    (" matching regex ", "bad_format"),
    (" of length ", "out_of_range"),
    ("Expected ", "out_of_range"),
)


@dataclass(frozen=True, slots=True)
class FieldFault:
    """The first fault of a struct. `field` is the path of its field, such as `packml.state`."""

    kind: FaultKind
    field: str

    @classmethod
    def of(cls, error: msgspec.ValidationError) -> "FieldFault":
        match = _SENTENCE.fullmatch(str(error))
        assert match is not None  # both of its parts may be empty
        sentence, path = match[1], match[2] or ""
        field = _INDEX.sub("", path).lstrip(".")
        if missing := _MISSING.fullmatch(sentence):
            return cls("missing_field", f"{field}.{missing[1]}" if field else missing[1])
        return cls(next((kind for sign, kind in _FAULTS if sign in sentence), "wrong_type"), field)

    def describe(self, subject: str) -> str:
        """Return a message for the sender of `subject`."""
        return f"{subject} needs {self.field}" if self.kind == "missing_field" else invalid_value(self.field, subject)


def invalid_value(field: str, subject: str) -> str:
    """Return the message for a field whose value is not allowed in `subject`."""
    return f"{subject}: invalid value for `{field}`"
