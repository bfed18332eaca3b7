"""Validation of a payload's tree: conversion into a struct, and rules over several of its fields.

A null field counts as absent. So does an optional text field that is empty: a PLC has no null, and sends an empty
string for an unset value. The JSON Schemas state the same rules (`bridge.contract`).
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from bridge.domain.line.equipment.packml import STATES
from bridge.domain.report_fields import MULTILINE_FIELDS
from bridge.domain.reports import (
    BODY_OF,
    AndonReport,
    ChangeoverReport,
    CountsReport,
    DowntimeReport,
    JobReport,
    PackmlState,
    ReportBody,
    StateReport,
)
from bridge.domain.strict_json import iter_strings
from bridge.domain.validation_errors import FieldFault

_LINE_BREAK = re.compile(r"[\t\n\r]")

T = TypeVar("T", bound=Struct)


class PayloadRejected(Exception):
    """A payload that is not allowed on its topic: the sender's fault. `reason` is one of a bounded set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def convert_body(tree: dict[str, Any], kind: str, *, is_command: bool) -> ReportBody:
    """Convert `tree` into the body of a report of this kind; raise PayloadRejected if a field or a rule fails."""
    body = convert(tree, BODY_OF[kind])
    _check_rules(body, is_command=is_command)
    return body


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


def _check_rules(body: ReportBody, *, is_command: bool) -> None:
    """Raise PayloadRejected if fields contradict each other, or one requires another: docs/devices.md."""
    match body:
        case StateReport(state=state, packml=packml):
            if (state is None) == (packml is None):
                raise PayloadRejected("needs_state_or_packml")
            if packml is not None:
                _check_packml(packml)
        case CountsReport(total=None, good=None, reject=None):
            raise PayloadRejected("needs_a_counter")
        case AndonReport():
            _check_andon(body, is_command=is_command)
        case JobReport(action="assign"):
            _need(body, "product", "target_quantity")
        case ChangeoverReport(action="start"):
            _need(body, "to_product")
        case DowntimeReport(action="classify"):
            _need(body, "reason_code")
        case _:
            pass


def _need(body: ReportBody, *names: str) -> None:
    for name in names:
        if getattr(body, name) is None:
            raise PayloadRejected(f"missing_field:{name}")


def _check_packml(packml: PackmlState) -> None:
    if isinstance(packml.state, int) and packml.state not in STATES[packml.dialect]:
        raise PayloadRejected("out_of_range:packml.state")


def _check_andon(body: AndonReport, *, is_command: bool) -> None:
    if (body.action is None) == (body.input is None):
        raise PayloadRejected("needs_action_or_input")
    if is_command and body.input is not None:
        raise PayloadRejected("report_only:input")  # a wire has a level; a user performs an action
    if not is_command and body.action == "escalate":
        raise PayloadRejected("command_only:action")
    if body.andon_type is None and (body.call_id is None or body.action in ("raise", None)):
        raise PayloadRejected("missing_field:andon_type")


def check_line_breaks(*structs: Struct | None) -> None:
    """Raise PayloadRejected for a tab or line break outside of free text: names are logged, and shown in one line."""
    for struct in structs:
        if struct is not None and any(map(_LINE_BREAK.search, _one_line_texts(struct))):
            raise PayloadRejected("control_character")


def _one_line_texts(struct: Struct) -> Iterator[str]:
    for name in struct.__struct_fields__:
        value: Any = getattr(struct, name)
        if isinstance(value, Struct):
            yield from _one_line_texts(value)
        elif name not in MULTILINE_FIELDS:
            yield from iter_strings(value)
