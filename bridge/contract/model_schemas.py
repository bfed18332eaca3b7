"""Conversion of structs to JSON Schemas: named, portable, and self-contained or with shared components."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schemas_by_name(names: Sequence[str], structs: Iterable[type], reference: str) -> tuple[dict[str, Schema], Schema]:
    """Return the schema of each struct under its name, and the components that they share."""
    references, parts = components(structs, reference)
    own = [reference["$ref"].rpartition("/")[2] for reference in references]
    shared = set(_references(list(parts.values()))) | (parts.keys() - own)
    return (
        {name: parts[component] for name, component in zip(names, own, strict=True)},
        {component: part for component, part in parts.items() if component in shared},
    )


def components(structs: Iterable[type], reference: str) -> tuple[list[Schema], Schema]:
    references, parts = msgspec.json.schema_components(structs, ref_template=reference)
    return list(references), _portable(parts)


def _portable(schema: Any) -> Any:
    """Replace what depends on Python or its version.

    The end-of-text anchor in patterns becomes that of ECMA 262, the dialect of JSON Schema 6.3.3. Descriptions, which
    are docstrings, lose their indentation; Python does that itself since 3.13.
    """
    if isinstance(schema, dict):
        return {name: _portable(_dedented(name, value)) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_portable(value) for value in schema]
    return schema.replace(r"\Z", "$") if isinstance(schema, str) else schema


def _dedented(name: str, value: Any) -> Any:
    return inspect.cleandoc(value) if name == "description" and isinstance(value, str) else value


def self_contained(schema: Schema, shared: Schema) -> Schema:
    """Return the schema with all definitions that it refers to, directly or through another."""
    needed: dict[str, Schema] = {}
    waiting = [schema]
    while waiting:
        for name in _references(waiting.pop()):
            if name not in needed:
                needed[name] = shared[name]
                waiting.append(shared[name])
    return {"$schema": DIALECT, **schema, **({"$defs": dict(sorted(needed.items()))} if needed else {})}


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, list):
        for value in schema:
            yield from _references(value)
    elif isinstance(schema, dict):
        for name, value in schema.items():
            if name == "$ref":
                yield value.rpartition("/")[2]
            else:
                yield from _references(value)
