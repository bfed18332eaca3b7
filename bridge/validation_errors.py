"""Messages for pydantic's validation errors, for the authors of settings and plant files."""

import difflib
import typing
from collections.abc import Iterable, Sequence

from pydantic import BaseModel
from pydantic_core import ErrorDetails


def fault_message(model: type[BaseModel], fault: ErrorDetails) -> str:
    """Return the message for a fault; for an unknown field, with the closest known one."""
    if fault["type"] != "extra_forbidden":
        return fault["msg"]
    *path, name = fault["loc"]
    return "no such field" + _near(str(name), _fields_at(model, path))


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _fields_at(model: type[BaseModel] | None, path: Sequence[int | str]) -> Iterable[str]:
    for step in path:
        if model is not None and isinstance(step, str):
            field = model.model_fields.get(step)
            model = None if field is None else _model_in(field.annotation)
    return () if model is None else model.model_fields


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that an annotation is or contains: `Line` for `tuple[Line, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
