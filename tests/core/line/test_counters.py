"""The counter table row by row, and against a true count that is only seen through a register."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.line.counters import Kind, Reading, Register, Rule, read
from tests.core.line.oracles import counters as oracle

WORD = 65_536
AT = 10_000


def rule(modulus: int | None = None, *, corrections: bool = False) -> Rule:
    return Rule(modulus=modulus, max_rate_per_minute=600, slack=10, max_dip=5, corrections=corrections)


def step(before: int, after: int, modulus: int | None = None, *, elapsed_ms: int = 1_000) -> Reading:
    return read(Register(before, AT - elapsed_ms), after, at=AT, rule=rule(modulus))


def test_the_first_sample_is_a_baseline() -> None:
    assert read(None, 57, at=AT, rule=rule()) == Reading(Register(57, AT), 0, "baseline")


@pytest.mark.parametrize(
    ("before", "after", "modulus", "delta", "kind"),
    [
        (65_530, 4, WORD, 10, "rollover"),
        (1_000, 0, WORD, 0, "reset"),
        (65_530, 4, None, 4, "reset"),
        (1_000, 999, None, 0, "dip"),
        (1_000, 995, WORD, 0, "dip"),
        (1_000, 994, None, 0, "rebase"),  # more than a dip, and more than can have been made since a reset
        (1_000, 5_000, None, 0, "held"),
        (1_000, 1_020, None, 20, "count"),  # exactly at the ceiling of 10 in a second and 10 of slack
        (1_000, 1_021, None, 0, "held"),
        (1_000, 20, None, 20, "reset"),
        (1_000, 21, None, 0, "rebase"),
        (3, 0, None, 0, "reset"),  # nothing is a reset however small the drop
        (7, 7, None, 0, "count"),
        (32_767, -32_768, WORD, 1, "count"),  # a signed word turns negative and is the same number
        (-1, 0, WORD, 1, "rollover"),
        (-1, 3, WORD, 4, "rollover"),
    ],
)
def test_row(before: int, after: int, modulus: int | None, delta: int, kind: Kind) -> None:
    start = before if modulus is None else before % modulus
    found = step(start, after, modulus)
    assert (found.delta, found.kind) == (delta, kind)


def test_the_same_value_at_the_same_time_is_a_duplicate() -> None:
    assert step(7, 7, elapsed_ms=0).kind == "duplicate"


def test_after_a_dip_the_high_water_mark_counts() -> None:
    dipped = step(1_000, 998)
    assert read(dipped.register, 1_001, at=AT + 1_000, rule=rule()).delta == 1


def test_corrections_take_pieces_back() -> None:
    found = read(Register(1_000, AT - 1_000), 999, at=AT, rule=rule(corrections=True))
    assert (found.delta, found.kind) == (-1, "dip")
    assert read(found.register, 1_001, at=AT + 1_000, rule=rule(corrections=True)).delta == 2


@pytest.mark.parametrize(
    ("then", "delta", "kind"),
    [
        (5_000, 4_000, "released"),
        (5_020, 4_020, "released"),
        (5_021, 0, "rebase"),
        (4_999, 0, "rebase"),
        (1_001, 0, "rebase"),
    ],
)
def test_a_jump_counts_only_when_the_next_sample_bears_it_out(then: int, delta: int, kind: Kind) -> None:
    held = step(1_000, 5_000)
    found = read(held.register, then, at=AT + 1_000, rule=rule())
    assert (found.delta, found.kind, found.estimated) == (delta, kind, kind == "released")
    assert found.register == Register(then, AT + 1_000)


def test_a_held_jump_may_wrap_before_it_is_borne_out() -> None:
    held = step(30_000, 65_530, WORD)
    assert held.kind == "held"
    assert read(held.register, 4, at=AT + 1_000, rule=rule(WORD)).delta == 65_536 + 4 - 30_000


steps = st.lists(
    st.builds(oracle.Step, seconds=st.integers(1, 3_000), pieces=st.integers(0, 40_000), reset=st.booleans()),
    max_size=40,
)


@given(first=st.integers(0, 2**17), steps=steps, modulus=st.sampled_from([None, WORD, 2**32]), signed=st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_true_count_is_recovered_from_what_its_register_shows(
    first: int, steps: list[oracle.Step], modulus: int | None, *, signed: bool
) -> None:
    """Wraps, resets and signed words lose nothing, as long as no more is made than the machine can make."""
    counter = Rule(modulus=modulus, max_rate_per_minute=oracle.MAX_RATE, slack=oracle.SLACK)
    register: Register | None = None
    total = 0
    for sample in oracle.device(first, steps, modulus=modulus, signed=signed):
        found = read(register, sample.shown, at=sample.at_ms, rule=counter)
        register = found.register
        total += found.delta
        assert total == sample.true_total, found.kind


@given(
    values=st.lists(st.tuples(st.integers(-(2**20), 2**20), st.integers(0, 100_000)), min_size=1),
    modulus=st.sampled_from([None, WORD]),
)
def test_nothing_counts_more_than_the_machine_can_make(values: list[tuple[int, int]], modulus: int | None) -> None:
    """Pieces beyond the ceiling count only when a second sample bears them out, and are called estimated then."""
    register: Register | None = None
    at = AT
    for value, elapsed in values:
        at += elapsed
        since = at if register is None else register.at
        found = read(register, value, at=at, rule=rule(modulus))
        assert found.delta >= 0
        assert found.estimated or found.delta <= 600 * (at - since) / 60_000 + 10
        register = found.register
