"""Refusals of input that the standard JSON parser accepts, each with its reason; no other error is raised."""

import contextlib
import json
import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.domain.strict_json import FRACTION_VALUES, MAX_BYTES, MAX_DEPTH, NotStrictJson, iter_strings, parse_json
from bridge.protocol.client_frames import MAX_VALUES


def refusal(payload: bytes, **bounds: Any) -> str:
    with pytest.raises(NotStrictJson) as caught:
        parse_json(payload, **bounds)
    return caught.value.reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b" ", "not_json"),
        (b" " * (MAX_BYTES + 1), "too_large"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"a":"\xed\xa0\x80"}', "not_utf8"),  # a surrogate, encoded as if it were a character
        (b"\xef\xbb\xbf{}", "not_json"),  # RFC 8259 8.1: no byte order mark
        ('{"a":1}'.encode("utf-16"), "not_utf8"),
        (b"{", "not_json"),
        (b"{}{}", "not_json"),
        (b"{'a':1}", "not_json"),
        (b'{"a":1,}', "not_json"),
        (b'{"a":01}', "not_json"),
        (b'{"a":+1}', "not_json"),
        (b'{"a":"line\nbreak"}', "not_json"),
        (b'{"a":"\x00"}', "not_json"),
        (b'{"a":NaN}', "not_finite"),
        (b'{"a":Infinity}', "not_finite"),
        (b'{"a":[-Infinity]}', "not_finite"),
        (b'{"a":1e400}', "number_out_of_range"),
        (b'{"a":-1e400}', "number_out_of_range"),
        (b'{"a":' + b"9" * 5_000 + b"}", "number_out_of_range"),
        (b'{"a":0.' + b"1" * 5_000 + b"}", "number_out_of_range"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":{"b":1,"\\u0062":2}}', "duplicate_key"),
        (b'{"a":"\\ud800"}', "lone_surrogate"),
        (b'{"\\udc00":1}', "lone_surrogate"),
        (b'["\\udc00\\ud800"]', "lone_surrogate"),
        (b'{"a":"\\u0000"}', "control_character"),
        (b'{"a":["\\u001b[2J"]}', "control_character"),
        (b'{"a\\b":1}', "control_character"),
        ('{"a":"\x85"}'.encode(), "control_character"),
    ],
)
def test_an_invalid_value_is_named(payload: bytes, reason: str) -> None:
    assert refusal(payload) == reason


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_two_hundred_thousand_levels_are_too_deep_and_no_crash(opening: bytes) -> None:
    assert refusal(opening * 200_000, max_bytes=10_000_000) == "too_deep"
    assert refusal(opening * 200_000) == "too_large"


def test_a_parser_that_runs_out_of_stack_reports_too_deep() -> None:
    assert refusal(b"[" * 100_000 + b"]" * 100_000, max_bytes=1_000_000, max_depth=1_000_000) == "too_deep"


def test_depth_is_counted_in_nesting_and_not_in_brackets() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert refusal(b"[" + deepest + b"]") == "too_deep"
    parse_json(deepest)
    parse_json(b"[" + b",".join([b"[]"] * 1_000) + b"]")
    assert parse_json(b'["' + b"[{" * 1_000 + b'\\""]') == ["[{" * 1_000 + '"']


def test_bounds_are_the_callers() -> None:
    assert refusal(b"[[],[],[]]", max_values=5) == "too_many_values"
    assert parse_json(b'{"a":[1,[]]}', max_values=4) == {"a": [1, []]}
    assert refusal(b"[1e1,2.5]", max_values=2 + 2 * FRACTION_VALUES - 1) == "too_many_values"
    assert parse_json(b"[1E1,2.5]", max_values=2 + 2 * FRACTION_VALUES) == [10, 2.5]
    assert parse_json(b'["[{,1.5,\\",2e3"]', max_values=1) == ['[{,1.5,",2e3']
    assert refusal(b'{"a":[[]]}', max_depth=2) == "too_deep"
    assert refusal(b"123456", max_integer_digits=5) == "number_out_of_range"
    assert parse_json(b"[12345, 1.2345678]", max_integer_digits=5) == [12_345, 1.2345678]
    assert parse_json(b'"\\u0000\\u001b"', allow_control_characters=True) == "\x00\x1b"
    assert refusal(b'"\\ud800"', allow_control_characters=True) == "lone_surrogate"


def cpu_of_refusing(escaped_quotes: int) -> float:
    payload = b'{"a":"' + b"[" * 20 + b'\\"' * escaped_quotes
    started = time.process_time()
    assert refusal(payload, max_bytes=1_000_000) == "not_json"
    return time.process_time() - started


def test_looking_for_depth_is_linear_in_hostile_text() -> None:
    """An unterminated string of escaped quotes makes a naive pattern scan to the end once per quote."""
    short, long = (min(cpu_of_refusing(quotes) for _ in range(5)) for quotes in (8_000, 64_000))
    assert long < 24 * short  # linear is 8, quadratic 64


def cpu_of(parse: Callable[[bytes], object], payload: bytes) -> float:
    started = time.process_time()
    with contextlib.suppress(NotStrictJson):
        parse(payload)
    return time.process_time() - started


def repeated(piece: bytes, *, at_most: int = MAX_BYTES, first: bytes = b"[", last: bytes = b"]") -> bytes:
    """Return as many of these values as a frame has room for."""
    room = (MAX_BYTES - len(first) - len(last)) // (len(piece) + 1)
    return first + b",".join([piece] * min(room, at_most)) + last


COSTLIEST = {
    "exponents": repeated(b"1e16", at_most=MAX_VALUES // (FRACTION_VALUES + 1)),
    "long fractions": repeated(b"9007199254740993." + b"0" * 47),
    "integers of 20 digits": repeated(b"1" + b"0" * 19),
    "objects": repeated(b'{"a":1}', at_most=MAX_VALUES // 2 - 1),
    "escaped keys": repeated(b'{"\\u0061":1}', at_most=MAX_VALUES // 2 - 1),
    "escaped keys and exponents": repeated(b'{"\\u0061":1e16}'),
    "deep objects": repeated(b'{"\\u0061":' * 14 + b"1" + b"}" * 14),
    "duplicates": repeated(b'"\\u0061":1', at_most=MAX_VALUES - 1, first=b"{", last=b"}"),
    "lists": repeated(b"[]", at_most=MAX_VALUES // 2 - 1),
    "escapes": b'["' + b"\\n" * 32_000 + b'"]',
    "escaped strings": repeated(b'"\\n"', at_most=MAX_VALUES - 1),
    "pairs of surrogates": repeated(b'"\\ud83d\\ude00"'),
    "beyond ASCII": repeated('"\U0001f600"'.encode()),
    "empty strings": b"[" * 17 + b'""' * 32_000,
    "closings": b"[" * 17 + b"]" * 65_000,
}


@pytest.mark.parametrize("payload", COSTLIEST.values(), ids=COSTLIEST)
def test_a_frame_within_its_bounds_costs_no_multiple_of_what_the_standard_parser_takes(payload: bytes) -> None:
    plain = repeated(b"1", at_most=MAX_VALUES - 1)
    strict, standard = math.inf, math.inf
    for _ in range(9):  # in turn: a busy machine slows both down
        strict = min(strict, cpu_of(lambda data: parse_json(data, max_values=MAX_VALUES), payload))
        standard = min(standard, cpu_of(json.loads, plain))
    assert strict < 15 * standard


def test_a_well_formed_document_is_accepted() -> None:
    payload = b'{"a":[1,-9223372036854775808,18446744073709551615,1.5e3,true,null],"b":"\\ud83d\\ude00 \\r\\n\\t x"}'
    assert parse_json(payload) == {"a": [1, -(2**63), 2**64 - 1, 1500.0, True, None], "b": "😀 \r\n\t x"}
    assert parse_json(b"-0.1") == -0.1


def is_same(value: object, expected: object) -> bool:
    return (type(value), value) == (type(expected), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18230.0", 18_230),
        ("1e3", 1_000),
        ("1.5E+1", 15),
        ("1200e-2", 12),
        ("-0.0", 0),
        ("-0", 0),
        ("0e999999999999", 0),
        ("9007199254740992.0", 2**53),
        ("9007199254740993.0", 2**53 + 1),  # the double nearest to it is one less
        ("9007199254740993e0", 2**53 + 1),
        ("9007199254740993.5", float(2**53 + 2)),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551615.0", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("18446744073709551616.0", float(2**64)),
        ("-9223372036854775808.0", -(2**63)),
        ("-9223372036854775809", -float(2**63)),
        ("1e300", 1e300),
        ("12.5", 12.5),
    ],
)
def test_a_number_is_what_it_amounts_to_however_it_is_spelled(text: str, expected: float) -> None:
    assert is_same(parse_json(text.encode()), expected)


@given(st.integers(-(2**63), 2**64 - 1), st.integers(0, 30), st.sampled_from("eE"))
@example(0, 3, "e")
def test_each_spelling_of_an_integer_is_that_integer(value: int, shift: int, sign: str) -> None:
    digits = f"{abs(value)}".rjust(shift + 1, "0")
    point = len(digits) - shift
    moved = f"{'-' if value < 0 else ''}{digits[:point]}.{digits[point:] or '0'}{sign}+{shift}"
    longer = f"{value}{'0' * shift if value else ''}{sign}-{shift}"  # RFC 8259 6: no number begins with two zeros
    for text in (f"{value}", f"{value}.0", f"{value}.000e0", longer, moved):
        assert is_same(parse_json(text.encode()), value), text


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?", fullmatch=True))
@example("36893488147419103232.00e-1")
@example("90071992547409930000000000e-10")
def test_a_number_is_the_one_that_decimal_arithmetic_finds(text: str) -> None:
    exact = Decimal(text)
    is_integer = exact == exact.to_integral_value() and -(2**63) <= exact <= 2**64 - 1
    value = int(exact) if is_integer else float(text)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # too near to tell apart
    assert is_same(parse_json(text.encode()), value)


HARMLESS = [r"\\", r"\"", r"\/", r"\n", r"\r", r"\t", r"\u0009", r"\u000A", r"\u0041", r"\u00a0", r"\u0100", "é", "😀"]
HARMFUL = [r"\b", r"\f", r"\u0000", r"\u001b", r"\u007F", r"\u0085", "\x7f", "\x9f"]
SURROGATES = [r"\ud83d", r"\uDBFF", r"\ude00", r"\uDFFF"]
ALIKE = ["b", "u0000", "ude00"]  # behind an escaped backslash


@settings(max_examples=500)
@given(st.lists(st.sampled_from([*HARMLESS, *HARMFUL, *SURROGATES, *ALIKE])).map("".join))
@example(r"\\u0000")
@example(r"\\ude00")
@example(r"\ud83d\\\ude00")
@example(r"\ud83d\ud83d\ude00")
def test_a_character_is_found_however_it_is_escaped(inner: str) -> None:
    text = f'{{"{inner}":["{inner}"]}}'
    string = json.loads(f'"{inner}"')
    codes = set(map(ord, string))
    if any(0xD800 <= code <= 0xDFFF for code in codes):
        assert refusal(text.encode()) == refusal(text.encode(), allow_control_characters=True) == "lone_surrogate"
        return
    assert parse_json(text.encode(), allow_control_characters=True) == {string: [string]}
    if codes - {9, 10, 13} & {*range(32), *range(0x7F, 0xA0)}:
        assert refusal(text.encode()) == "control_character"
    else:
        assert parse_json(text.encode()) == {string: [string]}


def test_all_strings_of_a_tree_are_found() -> None:
    assert sorted(iter_strings({"a": ["b", {"c": "d"}], "e": 1})) == ["a", "b", "c", "d", "e"]


REASONS = {
    "", "empty", "not_utf8", "not_json", "not_finite", "number_out_of_range", "duplicate_key", "lone_surrogate",
    "control_character", "too_deep", "too_large",
}  # fmt: skip

scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    # between these the standard parser loses digits of what was written, and ours does not
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not 2**53 <= abs(value) <= 2**64)
    | st.text(st.characters(exclude_categories=("Cs", "Cc")))
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from("abc")), inner),
    max_leaves=15,
)


@settings(max_examples=200)
@given(trees)
def test_it_agrees_with_the_standard_parser_on_acceptable_json(tree: Any) -> None:
    for text in (json.dumps(tree), json.dumps(tree, ensure_ascii=False)):
        assert parse_json(text.encode(), max_depth=100) == json.loads(text)


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.lists(st.sampled_from([*'{}[]",:\\u09e-.tfn', "\ud800", "NaN"])).map("".join))
def test_anything_at_all_is_parsed_or_refused(payload: bytes | str) -> None:
    data = payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass")
    try:
        value = parse_json(data)
    except NotStrictJson as refused:
        reason = refused.reason
    else:
        reason = "" if not isinstance(value, float) or math.isfinite(value) else "let through"
    assert reason in REASONS
