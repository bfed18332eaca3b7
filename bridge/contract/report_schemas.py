"""JSON Schemas of reports and commands: those of the structs, plus the decoder's further rules.

`bridge.ingest` is authoritative; these express the same rules in JSON Schema 2020-12. docs/devices.md lists the rules
that a schema cannot express.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from bridge.contract.model_schemas import Schema, schemas_by_name
from bridge.domain.control_characters import CONTROL_CHARACTER, CONTROL_EXCEPT_LINE_BREAKS
from bridge.domain.line.equipment.packml import STATES
from bridge.domain.report_fields import MULTILINE_FIELDS
from bridge.domain.reports import BODY_OF, COMMAND_KINDS
from bridge.domain.strict_json import MAX_INTEGER, MIN_INTEGER
from bridge.ingest.native import CommandPayload

REPORT_KINDS: Final = tuple(kind for kind in BODY_OF if kind != "quality")  # accepted as a command only

# They also reject a final line break, which `$` would let pass.
_NO_CONTROL: Final[Schema] = {"not": {"pattern": CONTROL_CHARACTER}}
_NO_CONTROL_BUT_LINES: Final[Schema] = {"not": {"pattern": CONTROL_EXCEPT_LINE_BREAKS}}


def report_schemas(reference: str) -> tuple[dict[str, Schema], Schema]:
    """Return the payload schema of each report kind, and the components they share."""
    return _schemas(REPORT_KINDS, [BODY_OF[kind] for kind in REPORT_KINDS], reference, _of_report)


def command_schemas(reference: str) -> tuple[dict[str, Schema], Schema]:
    """Return the payload schema of each command kind, and the components they share.

    It is the report's schema plus the command's id and user.
    """
    return _schemas(COMMAND_KINDS, map(_command_shape, COMMAND_KINDS), reference, _of_command)


def _command_shape(kind: str) -> type[msgspec.Struct]:
    fields = [*msgspec.structs.fields(CommandPayload), *msgspec.structs.fields(BODY_OF[kind])]
    optional = [(field.name, field.type, field.default) for field in fields if not field.required]
    required = [(field.name, field.type) for field in fields if field.required]
    return msgspec.defstruct(f"{kind.capitalize()}Command", [*required, *optional])


def _schemas(
    kinds: Iterable[str], structs: Iterable[type], reference: str, rules: Callable[[str, Schema], Schema]
) -> tuple[dict[str, Schema], Schema]:
    schemas, shared = schemas_by_name(list(kinds), structs, reference)
    return (
        {kind: rules(kind, _completed(schema)) for kind, schema in schemas.items()},
        {name: _completed(schema) | _PART_RULES.get(name, {}) for name, schema in shared.items()},
    )


def _completed(schema: Schema) -> Schema:
    """Return the schema with the decoder's rules for all fields: absent values, ranges, and characters."""
    required = schema["required"]
    fields = {
        name: _field(field, free=name in MULTILINE_FIELDS, optional=name not in required)
        for name, field in schema["properties"].items()
    }
    return {**schema, "properties": fields}


def _field(schema: Schema, *, free: bool, optional: bool) -> Schema:
    default = {"default": schema["default"]} if "default" in schema else {}
    forms = [form for form in schema.get("anyOf", [schema]) if form != {"type": "null"}]
    forms = [{name: value for name, value in form.items() if name != "default"} for form in forms]
    if {"type": "number"} in forms:
        forms = [form for form in forms if form.get("type") != "integer"]
    completed = [_form(form, free=free) for form in forms]
    if optional:
        takes_text = any(form.get("type") == "string" or "enum" in form for form in forms)
        completed.append({"enum": [None, ""]} if takes_text else {"type": "null"})
    return {**(completed[0] if len(completed) == 1 else {"anyOf": completed}), **default}


def _form(schema: Schema, *, free: bool) -> Schema:
    match schema.get("type"):
        case "integer":
            return {"minimum": MIN_INTEGER, "maximum": MAX_INTEGER, **schema}
        case "string":
            return {**schema, **(_NO_CONTROL_BUT_LINES if free else _NO_CONTROL)}
        case "array":
            return {**schema, "items": _form(schema["items"], free=free)}
        case _:
            return schema


def _present(name: str, **narrowed: Any) -> Schema:
    """Return the rule that a field is present: neither null nor, where that counts as absent, empty."""
    return {"properties": {name: {"not": {"enum": [None, ""]}, **narrowed}}, "required": [name]}


def _needs(action: str, *names: str) -> Schema:
    """Return the rule that this action requires these fields."""
    return {
        "if": {"properties": {"action": {"const": action}}, "required": ["action"]},
        "then": {"allOf": [_present(name) for name in names]},
    }


def _packml_numbers(dialect: str, numbers: Iterable[int]) -> Schema:
    ordered = sorted(numbers)
    return {"properties": {"dialect": {"const": dialect}, "state": {"minimum": ordered[0], "maximum": ordered[-1]}}}


_ACTS_ON_A_CALL: Final = {"enum": ["acknowledge", "arrive", "resolve", "cancel", "escalate"]}

_RULES: Final[Mapping[str, Schema]] = {
    "counts": {"anyOf": [_present("total"), _present("good"), _present("reject")]},
    "state": {"oneOf": [_present("state"), _present("packml")]},
    "andon": {
        "oneOf": [_present("action"), _present("input")],
        "anyOf": [
            _present("andon_type"),
            {"allOf": [_present("call_id"), {"properties": {"action": _ACTS_ON_A_CALL}, "required": ["action"]}]},
        ],
    },
    "job": _needs("assign", "product", "target_quantity"),
    "changeover": _needs("start", "to_product"),
    "downtime": _needs("classify", "reason_code"),
}
"""Rules over several fields, by kind; `bridge.ingest.report_validation` implements the same."""

_PART_RULES: Final[Mapping[str, Schema]] = {
    "PackmlState": {"anyOf": [_packml_numbers(dialect, numbers) for dialect, numbers in STATES.items()]},
}


def _of_report(kind: str, schema: Schema) -> Schema:
    with_rules = schema | _RULES.get(kind, {})
    if kind != "andon":
        return with_rules
    action = schema["properties"]["action"]
    actions = [choice if choice == {"enum": [None, ""]} else _without(choice, "escalate") for choice in action["anyOf"]]
    return with_rules | {"properties": {**schema["properties"], "action": {**action, "anyOf": actions}}}


def _without(words: Schema, word: str) -> Schema:
    return {**words, "enum": [choice for choice in words["enum"] if choice != word]}


def _of_command(kind: str, schema: Schema) -> Schema:
    with_rules = schema | _RULES.get(kind, {})
    if kind != "andon":
        return with_rules
    return with_rules | {"properties": {**schema["properties"], "input": {"type": "null"}}}  # no level in a command
