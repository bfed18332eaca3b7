"""Strict parser for JSON (RFC 8259) with explicit bounds: bytes -> a tree of plain values, or a reason for refusal.

The standard parser does the parsing; what it wrongly accepts (threats.md, «Payloads») is refused here.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from math import isinf
from typing import Any, Final, NoReturn

MAX_BYTES: Final = 65_536  # bounds the cost to parse and store one message; the broker's own limit may be higher
MAX_DEPTH: Final = 16  # the deepest report has 3; stops stacks of brackets from exhausting the parser's recursion
MAX_DIGITS: Final = 64  # of one number; the longest exact double in common use has 55; conversion is quadratic
MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**64 - 1
MAX_EXACT_DOUBLE: Final = 2**53  # below it, a double is exactly the integer that was written

FRACTION_VALUES: Final = 5  # counted for a fraction or an exponent, which takes as long to parse as that many
NATIVE_DIGITS: Final = 18  # an integer with at most so many fits into 64 bits

_OPENING: Final = ord("[")
_TO_SQUARES: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_TO_KINDS: Final = bytes.maketrans(b"123456789.E", b"000000000ee")  # of the characters of a number
_BACKSLASH: Final = "\\\\"  # an escaped one
_RAW_CONTROL = re.compile("[\x7f-\x9f]")  # raw C0 controls are refused by the parser itself
_SURROGATE = re.compile(
    r"""
    \\u[dD](?:
        [89abAB]..(?!\\u[dD][c-fC-F])  # a high one without a low one
      | [c-fC-F](?<!\\u[dD][89abAB]..\\u[dD].)  # and the reverse
    )
    """,
    re.VERBOSE | re.DOTALL,
)
# Tab and line breaks are left to the caller.
_CONTROL = re.compile(r"\\(?:[bf]|u00(?:0[0-8bBcCeEfF]|1.|7[fF]|[89].))", re.DOTALL)


@dataclass(eq=False)
class NotStrictJson(Exception):
    """Bytes that are not acceptable JSON: the sender's fault. `reason` is one of a fixed set of words."""

    reason: str

    @property
    def text(self) -> str:
        """The reason for people."""
        return "not valid JSON" if self.reason == "not_json" else f"not acceptable JSON: {self.reason}"


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

    `max_values` bounds the time to parse. Commas and opening brackets outside of strings are counted, and each
    fraction or exponent of a number as `FRACTION_VALUES`.
    """
    if not payload:
        raise NotStrictJson("empty")
    if len(payload) > max_bytes:
        raise NotStrictJson("too_large")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise NotStrictJson("not_utf8") from None
    outside = _without_strings(payload)
    kinds = outside.translate(_TO_KINDS)
    if max_values is not None and _count_values(kinds) > max_values:
        raise NotStrictJson("too_many_values")
    if _is_deeper(outside, max_depth):
        raise NotStrictJson("too_deep")
    has_long = b"0" * min(NATIVE_DIGITS + 1, max_integer_digits) in kinds
    try:
        tree = _decoder(max_integer_digits if has_long else None).decode(text)
    except RecursionError:  # a caller already deep in its stack
        raise NotStrictJson("too_deep") from None
    except json.JSONDecodeError:
        raise NotStrictJson("not_json") from None
    _refuse_characters(text, allow_control_characters=allow_control_characters)
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


def _without_strings(payload: bytes) -> bytes:
    """Return what is outside of the strings; of invalid JSON at least what precedes the first fault."""
    if b"\\" in payload:
        payload = payload.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(payload.split(b'"')[::2])


def _count_values(kinds: bytes) -> int:
    values = kinds.count(b",") + kinds.count(b"[") + kinds.count(b"{")
    return values + FRACTION_VALUES * kinds.count(b"0e")


def _is_deeper(outside: bytes, limit: int) -> bool:
    left = brackets = outside.translate(_TO_SQUARES, _NO_BRACKETS)
    for _ in range(min(limit, MAX_DEPTH)):
        if not left:
            return False
        left = left.replace(b"[]", b"")  # the innermost ones
    depth = 0
    for bracket in brackets if left else b"":
        depth += 1 if bracket == _OPENING else -1
        if not 0 <= depth <= limit:
            return depth > limit  # else the parser stops here
    return False


def _refuse_characters(text: str, *, allow_control_characters: bool) -> None:
    """Look for characters in valid JSON, in which only strings have escapes, and raw control characters."""
    if "\\" in text:
        escapes = text.replace(_BACKSLASH, "//")  # as long: what surrounds it stays apart
        if _SURROGATE.search(escapes):
            raise NotStrictJson("lone_surrogate")
        if not allow_control_characters and _CONTROL.search(escapes):
            raise NotStrictJson("control_character")
    if not allow_control_characters and _RAW_CONTROL.search(text):
        raise NotStrictJson("control_character")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    # RFC 8259 4 leaves duplicate names to the parser, so two parsers may see two different reports in one.
    if len(members) != len(pairs):
        raise NotStrictJson("duplicate_key")
    return members


def _integer(max_digits: int, text: str) -> int | float:
    if len(text) > max_digits:
        raise NotStrictJson("number_out_of_range")
    value = int(text)
    return value if MIN_INTEGER <= value <= MAX_INTEGER else float(value)


def _float(text: str) -> int | float:
    if len(text) > MAX_DIGITS:
        raise NotStrictJson("number_out_of_range")
    value = float(text)
    if value.is_integer():
        return int(value) if -MAX_EXACT_DOUBLE < value < MAX_EXACT_DOUBLE else _exactly(text, value)
    if isinf(value):
        raise NotStrictJson("number_out_of_range")
    return value


def _exactly(text: str, value: float) -> int | float:
    """Return the integer that `text` spells, not the nearest double: a counter may have more digits."""
    if abs(value) > MAX_INTEGER + 1:
        return value
    mantissa, _, exponent = text.replace("E", "e").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    significant = digits.rstrip("0")
    shift = int(exponent or 0) + len(whole) - len(significant)
    if shift < 0:
        return value
    integer = int(significant) * 10**shift
    return integer if MIN_INTEGER <= integer <= MAX_INTEGER else value


def _constant(_: str) -> NoReturn:
    raise NotStrictJson("not_finite")  # RFC 8259 6: Infinity and NaN are not permitted


@cache
def _decoder(max_integer_digits: int | None) -> json.JSONDecoder:
    """Return a decoder; without `max_integer_digits`, for integers of at most `NATIVE_DIGITS` digits."""
    parse_int: Callable[[str], int | float] = int
    if max_integer_digits is not None:
        parse_int = partial(_integer, max_integer_digits)
    return json.JSONDecoder(
        object_pairs_hook=_unique, parse_int=parse_int, parse_float=_float, parse_constant=_constant
    )
