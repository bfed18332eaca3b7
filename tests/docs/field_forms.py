"""Forms that the tables of docs/devices.md give to fields, and those of the JSON Schemas in the same shape."""

import re
from collections.abc import Iterator
from typing import Any, Final

from bridge.contract.model_schemas import Schema
from bridge.domain.strict_json import MAX_INTEGER, MIN_INTEGER

ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
HEXADECIMAL: Final = r"^(?:0[xX])?[0-9A-Fa-f]{1,%s}$"
_ROW = re.compile(r"^\| `([\w.]+)` \| (.+?) \|", re.MULTILINE)
_WORDS = re.compile(r"(?:`\w+`(?:, )?)+")


def rows(section: str) -> Iterator[tuple[str, str, str]]:
    """The field, the form and the requirement (`required`, `required with …` or nothing) of each row of a table."""
    for name, form in _ROW.findall(section):
        if name == "field":
            continue
        head, _, requirement = form.partition("; ")
        yield name, head, requirement


def documented(form: str) -> list[Schema]:
    """The alternatives of a documented form, sorted."""
    in_any_case = form.removesuffix(", in any case")
    if in_any_case != form:
        *others, words = in_any_case.split(", or ")
        return _sorted([*map(_alternative, others), {"any case": sorted(re.findall(r"`(\w+)`", words))}])
    return _sorted([_alternative(part) for part in form.split(", or ")])


def _alternative(text: str) -> Schema:
    if _WORDS.fullmatch(text):
        return {"enum": sorted(re.findall(r"`(\w+)`", text))}
    match re.split(r" of at most | from | to |, at most ", text):
        case ["id"]:
            return {"type": "string", "pattern": ID}
        case ["number"]:
            return {"type": "number"}
        case ["true or false"]:
            return {"type": "boolean"}
        case ["object"]:
            return {"type": "object"}
        case ["text", most]:
            return {"type": "string", "maxLength": int(most)}
        case ["hexadecimal text", digits]:
            return {"type": "string", "pattern": HEXADECIMAL % digits.removesuffix(" digits")}
        case ["integer", *limits]:
            low, high = (int(limit) for limit in (limits + [MIN_INTEGER, MAX_INTEGER][len(limits) :]))
            return {"type": "integer", "minimum": low, "maximum": high}
        case ["list", items, *limits]:
            number, _, kind = items.partition(" ")
            item = _alternative(", at most ".join([kind.removesuffix("s"), *limits]) if kind == "texts" else
                                " from ".join(["integer", " to ".join(limits)]))  # fmt: skip
            return {"type": "array", "items": item, "maxItems": int(number)}
        case _:
            raise AssertionError(f"a form that the document does not define: {text}")


def stated(field: Schema) -> list[Schema]:
    """Return the alternatives of a schema's field, sorted, without the rules common to all fields."""
    return _sorted([_bare(form) for form in field.get("anyOf", [field]) if form not in ABSENT])


ABSENT: Final[list[Schema]] = [{"type": "null"}, {"enum": [None, ""]}]


def _bare(schema: Schema) -> Schema:
    """Remove the rules common to all fields: no control characters, empty text is absent."""
    if "$ref" in schema:
        return {"type": "object"}
    if "enum" in schema:
        return {"enum": sorted(schema["enum"])}
    words = re.findall(r"(?<=[:|])(?:\[[A-Z][a-z]\])+", schema.get("pattern", ""))
    if words:
        return {"any case": sorted(re.sub(r"\[[A-Z]([a-z])\]", r"\1", word) for word in words)}
    bare: dict[str, Any] = {
        name: value for name, value in schema.items() if name not in ("not", "minLength", "default", "description")
    }
    return {**bare, "items": _bare(bare["items"])} if "items" in bare else bare


def _sorted(schemas: list[Schema]) -> list[Schema]:
    return sorted(schemas, key=repr)
