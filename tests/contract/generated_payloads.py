"""Generated payloads of reports and commands: from their JSON Schemas, and by mutation of those.

A payload is JSON text, since the spelling of a number is part of what a device may vary.
"""

import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from bridge.contract.model_schemas import Schema
from bridge.domain.strict_json import MAX_INTEGER

Tree = dict[str, Any]
Words = Mapping[str, Sequence[str]]
Draw = Callable[[st.SearchStrategy[Any]], Any]

MAX_EXACT: Final = 2**53  # beyond it, validators that read doubles lose digits of other spellings
UNKNOWN: Final = "colour"  # a field of no kind; kept free of control characters, which no schema refuses there
SPELLINGS: Final = ("{}", "{}.0", "{}.00e0", "{}e0", "{}000E-3")  # the last is no number for 0
ONE_LINE: Final = st.characters(exclude_categories=("Cs", "Cc"))
ANY_LINE: Final = st.characters(exclude_categories=("Cs", "Cc"), include_characters="\t\n\r")

HOSTILE: Final[Sequence[Any]] = (
    None, True, False, 0, 1, -1, 17, 255, 256, 0.5, 5.0, 5.5, -0.0, 1e3, 1_000_000, 1_000_001, 2**53, 2**53 + 1,
    float(2**53), 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, float(2**64), 1e19, 10**30, 1e30, 1e300, 5e-324,
    "", " ", "0", "12", "NaN", "true", "null", "running", "RUNNING ", " Fault", "running\n", "dancing", "execute",
    "SUSPENDED", "tr88", "tmc", "0x", "0xFF", "0x" + "f" * 64, "f" * 65, "f f", "a" * 64, "a" * 65, "x" * 500,
    "x" * 501, "\U0001f600" * 64, "\U0001f600" * 65, "e\u0301" * 32, "\U0001f600" * 500, "P1\n", "P1\r", "a\tb", "a\n",
    "a\x00", "a\x7f", "a\x85", "a\u2028b", "P/1", "_", ".x", "\uff11",
    [], [0], [255], [256], [0.0], [5.5], [None], [""], [True], [[0]], ["E1"], ["E1", 5], ["E\n"], ["e"] * 256,
    ["e"] * 257, [1] * 256, [1] * 257, {}, {"state": 6}, {"dialect": "tr88", "state": 6.0},
    {"dialect": "tr88", "state": 0}, {"dialect": "tmc", "state": 0}, {"dialect": "tmc", "state": "execute"},
    {"id": "u", "roles": []}, {"id": "u", "roles": ["r"] * 50, "name": ""}, {"id": "u", "roles": ["r"] * 51},
)  # fmt: skip


def payloads(schema: Schema, words: Words) -> st.SearchStrategy[str]:
    """JSON texts near the border of what `schema` accepts, on both of its sides."""
    complete = documents(schema, schema)
    ruled = {name: schema["properties"][name] for name in sorted(_ruled(schema) | set(schema["required"]))}
    few = documents({**schema, "properties": ruled}, schema)

    @st.composite
    def text(draw: Draw) -> str:
        tree: Tree = copy.deepcopy(draw(st.one_of(few, complete)))
        for _ in range(draw(st.integers(0, 3))):
            _mutate(tree, draw, words)
        return spelled(tree, draw)

    return text()


def words_of(schemas: Iterable[Schema]) -> Words:
    """The words that each field has in one of `schemas`: a report's action may be a command's only."""
    words_by_field: dict[str, set[str]] = {}
    for schema in schemas:
        for name, field in schema["properties"].items():
            forms = field.get("anyOf", [field])
            words_by_field.setdefault(name, set()).update(
                word for form in forms for word in form.get("enum", ()) if word
            )
    return {name: sorted(words) for name, words in words_by_field.items() if words}


def _ruled(schema: Schema) -> set[str]:
    """The fields that rules over several fields name: all of them are seldom drawn together where all fields are."""
    waiting: list[Any] = [schema.get(name) for name in ("allOf", "anyOf", "oneOf", "if", "then")]
    field_names: set[str] = set()
    while waiting:
        match waiting.pop():
            case {"properties": fields}:
                field_names |= fields.keys()
            case dict(rules):
                waiting += rules.values()
            case list(rules):
                waiting += rules
            case _:
                pass
    return field_names


def documents(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Values that fit the fields of `schema`; its rules over several fields are left to chance."""
    if "$ref" in schema:
        return documents(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "properties" in schema:
        fields = {name: documents(field, root) for name, field in schema["properties"].items()}
        needed = {name: fields.pop(name) for name in schema["required"]}
        return st.fixed_dictionaries(needed, optional=fields)
    if "anyOf" in schema:
        return st.one_of([documents(alternative, root) for alternative in schema["anyOf"]])
    if "items" in schema:
        return st.lists(documents(schema["items"], root), max_size=min(schema["maxItems"], 4))
    return st.sampled_from(schema["enum"]) if "enum" in schema else _scalars(schema)


def _scalars(schema: Schema) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "number":
            return st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)
        case "integer":
            return _integers(schema["minimum"], schema["maximum"])
        case _:
            return _texts(schema)


def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.sampled_from([low, low + 1, high - 1, high]) | st.integers(max(low, -2), min(high, 20))


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    if words := re.findall(r"(?<=[:|])(?:\[[A-Z][a-z]\])+", schema.get("pattern", "")):  # one of these in any case
        plain = [re.sub(r"\[[A-Z]([a-z])\]", r"\1", word) for word in words]
        return st.sampled_from([*plain, *map(str.upper, plain), *map(str.title, plain), f" {plain[0]}  "])
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"]), fullmatch=True).filter(lambda text: "\n" not in text)
    low, high = schema.get("minLength", 0), schema["maxLength"]
    alphabet = ANY_LINE if r"\x0b" in schema["not"]["pattern"] else ONE_LINE
    return st.text(alphabet, min_size=low, max_size=min(high, 6)) | st.sampled_from(["\U0001f600" * high, "x" * high])


def _mutate(tree: Tree, draw: Draw, words: Words) -> None:
    target = tree
    inner = [value for value in tree.values() if isinstance(value, dict)]
    if inner and draw(st.booleans()):
        target = draw(st.sampled_from(inner))
    names = sorted(target.keys() - {UNKNOWN})
    match draw(st.sampled_from(["replace", "replace", "vary", "vary", "delete", "swap", "unknown"])):
        case "replace" if names:
            target[draw(st.sampled_from(names))] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
        case "vary" if names:
            name = draw(st.sampled_from(names))
            target[name] = _varied(target[name], draw, words.get(name, ()))
        case "delete" if names:
            del target[draw(st.sampled_from(names))]
        case "swap" if len(names) > 1:
            one, other = draw(st.permutations(names))[:2]
            target[one], target[other] = target[other], target[one]
        case _:
            target[UNKNOWN] = draw(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(ONE_LINE))


def _varied(value: Any, draw: Draw, words: Sequence[str]) -> Any:
    """A value next to `value`: of the same form or just beyond it."""
    match value:
        case bool():
            return draw(st.sampled_from([int(value), str(value).lower(), None]))
        case int() | float():
            return draw(st.sampled_from([value + 1, value - 1, -value, value + 0.5, str(value), bool(value), [value]]))
        case str() if value in words and draw(st.booleans()):
            return draw(st.sampled_from(words))
        case str():
            ends = [f"{value}{end}" for end in (" ", "\n", "\t", "\x00", "x", "\U0001f600")]
            return draw(st.sampled_from([*ends, value.upper(), value.title(), value * 2, value[:-1], [value], ""]))
        case list():
            return draw(st.sampled_from([[*value, None], value * 100, value[:1], value[:1] * 2, [*value, ""]]))
        case _:
            return draw(st.sampled_from([None, True, "", 0, {}]))


def spelled(tree: Any, draw: Draw) -> str:
    """`tree` as JSON, each number in one of its spellings."""
    match tree:
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{spelled(value, draw)}" for name, value in tree.items()) + "}"
        case list():
            return "[" + ",".join(spelled(value, draw) if index < 4 else json.dumps(value)
                                  for index, value in enumerate(tree)) + "]"  # fmt: skip
        case bool() | str() | None:
            return json.dumps(tree)
        case int() if abs(tree) <= MAX_EXACT:
            return str(draw(st.sampled_from(SPELLINGS if tree else SPELLINGS[:-1]))).format(tree)
        case float() if tree.is_integer() and abs(tree) <= MAX_INTEGER + 1:
            return f"{int(tree)}.0"  # all digits, for the decoder counts them and a double does not
        case _:
            return json.dumps(tree)
