"""Strict parser for JSON (RFC 8259) with explicit bounds: bytes -> a tree of plain values, or a reason for refusal.

The standard parser does the parsing; what it wrongly accepts (threats.md, «Payloads») is refused here.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from math import isinf
from typing import Any, Final, NoReturn

from bridge.domain.control_characters import CONTROL_EXCEPT_LINE_BREAKS

MAX_BYTES: Final = 65_536  # bounds the cost to parse and store one message; the broker's own limit may be higher
MAX_DEPTH: Final = 16  # the deepest report has 3; stops stacks of brackets from exhausting the parser's recursion
MAX_DIGITS: Final = 64  # of one number; the longest exact double in common use has 55; conversion is quadratic
MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**64 - 1
MAX_EXACT_DOUBLE: Final = 2**53  # below it, a double is exactly the integer that was written

# Possessive, so that a long unterminated string costs one pass and not one per quote in it.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_MAY_HIDE_CHARACTERS = re.compile("[\\\\\x7f-\x9f]")  # raw C0 controls are refused by the parser itself
_CONTROL = re.compile(CONTROL_EXCEPT_LINE_BREAKS)  # tab and line breaks are left to the caller
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(eq=False)
class NotStrictJson(Exception):
    """Bytes that are not acceptable JSON: the sender's fault. `reason` is one of a fixed set of words."""

    reason: str


def parse_json(
    payload: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_values: int | None = None,
    max_integer_digits: int = MAX_DIGITS,
    allow_control_characters: bool = False,
) -> Any:
    """Parse `payload` into dict, list, str, int, float, bool and None; raise NotStrictJson only.

    The type of a number depends on its value, not its spelling: an int for an integer of 64 bits (signed or unsigned),
    so 5, 5.0 and 0.5e1 are the same, else a finite float. Keys are unique in their object. Strings contain neither
    surrogates nor, unless allowed, control characters except tab, line feed and carriage return.

    `max_values` bounds the time to parse: 64 KiB of empty lists take 15 ms. Commas and brackets in strings count too.
    """
    if not payload:
        raise NotStrictJson("empty")
    if len(payload) > max_bytes:
        raise NotStrictJson("too_large")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise NotStrictJson("not_utf8") from None
    if max_values is not None and text.count(",") + text.count("[") + text.count("{") > max_values:
        raise NotStrictJson("too_many_values")
    if _is_deeper(text, max_depth):
        raise NotStrictJson("too_deep")
    try:
        tree = _decoder(max_integer_digits).decode(text)
    except RecursionError:  # a caller already deep in its stack
        raise NotStrictJson("too_deep") from None
    except json.JSONDecodeError:
        raise NotStrictJson("not_json") from None
    if _MAY_HIDE_CHARACTERS.search(text):
        for string in iter_strings(tree):
            _refuse_characters(string, allow_control_characters=allow_control_characters)
    return tree


def iter_strings(tree: Any) -> Iterator[str]:
    """Yield every string in a parsed tree, keys included, in no particular order."""
    waiting = [tree]
    while waiting:
        match waiting.pop():
            case str(string):
                yield string
            case dict(members):
                waiting += members
                waiting += members.values()
            case list(items):
                waiting += items
            case _:
                pass


def _is_deeper(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > limit:
                return True
        elif match[0] in "]}":
            depth -= 1
    return False


def _refuse_characters(string: str, *, allow_control_characters: bool) -> None:
    if _SURROGATE.search(string):
        raise NotStrictJson("lone_surrogate")
    if not allow_control_characters and _CONTROL.search(string):
        raise NotStrictJson("control_character")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    # RFC 8259 4 leaves duplicate names to the parser, so two parsers may see two different reports in one.
    if len(members) != len(pairs):
        raise NotStrictJson("duplicate_key")
    return members


def _integer(text: str, *, max_digits: int) -> int | float:
    if len(text) > max_digits:
        raise NotStrictJson("number_out_of_range")
    value = int(text)
    return value if MIN_INTEGER <= value <= MAX_INTEGER else float(value)


def _float(text: str) -> int | float:
    if len(text) > MAX_DIGITS:
        raise NotStrictJson("number_out_of_range")
    value = float(text)
    if isinf(value):
        raise NotStrictJson("number_out_of_range")
    if not value.is_integer():
        return value
    return int(value) if abs(value) < MAX_EXACT_DOUBLE else _exactly(text, value)


def _exactly(text: str, value: float) -> int | float:
    """Return the integer that `text` spells, not the nearest double: a counter may have more digits."""
    if abs(value) > MAX_INTEGER + 1:
        return value
    numerator, denominator = Decimal(text).as_integer_ratio()
    return numerator if denominator == 1 and MIN_INTEGER <= numerator <= MAX_INTEGER else value


def _constant(_: str) -> NoReturn:
    raise NotStrictJson("not_finite")  # RFC 8259 6: Infinity and NaN are not permitted


@cache
def _decoder(max_integer_digits: int) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_unique,
        parse_int=partial(_integer, max_digits=max_integer_digits),
        parse_float=_float,
        parse_constant=_constant,
    )
