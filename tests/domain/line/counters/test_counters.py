"""Every row of the counter table of domain.md: single samples, and the decision on a suspect by the next one."""

from dataclasses import dataclass

import pytest

from bridge.domain.line.counters.registers import ChangeKind, Register
from tests.domain.line.counters.counter_reader import WORD, reader


@dataclass(frozen=True)
class SampleEffect:
    """Effect of the last sample: pieces added, and pieces released or refused of those held before."""

    delta: int
    kind: ChangeKind
    released: int
    refused: int
    estimated: bool


# -- rows of domain.md: what a sample is by itself ---------------------------------------------------------------------


def test_the_first_sample_is_a_baseline() -> None:
    result = reader().read(57, 0)
    assert (result.delta, result.kind, result.register) == (0, "baseline", Register(57, 0))


@pytest.mark.parametrize(
    ("before", "after", "modulus", "delta", "kind"),
    [
        (7, 7, None, 0, "count"),
        (1_000, 1_020, None, 20, "count"),  # exactly at the ceiling of 10 in a second and 10 of slack
        (1_000, 1_021, None, 0, "held"),
        (65_530, 4, WORD, 10, "rollover"),
        (-1, 3, WORD, 4, "rollover"),
        (32_767, -32_768, WORD, 1, "count"),  # a signed word turns negative and is the same number
        (65_530, 4, None, 0, "held"),
        (65_500, 0, WORD, 0, "held"),  # reset, wrapped or not read: the next sample decides
        (1_000, 999, None, 0, "dip"),
        (1_000, 995, WORD, 0, "dip"),
        (3, 65_534, WORD, 0, "dip"),
        (1_000, 994, None, 0, "held"),
        (3, 0, None, 0, "held"),
        (1_000, 0, WORD, 0, "held"),
        (9, 7, 10, 0, "held"),  # of a small modulus a dip is at most an eighth
    ],
)
def test_row(before: int, after: int, modulus: int | None, delta: int, kind: ChangeKind) -> None:
    counter = reader(modulus)
    counter.read(before, 0)
    result = counter.read(after, 1)
    assert (result.delta, result.kind, result.estimated) == (delta, kind, False)


def test_after_a_dip_the_high_water_mark_counts() -> None:
    counter = reader()
    assert counter.read_all((1_000, 0), (998, 1), (1_001, 2)).delta == 1
    assert counter.total == 1


# -- rows of domain.md: what becomes of a suspect ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "modulus", "expected"),
    [
        ((1_000, 5_000, 1_001), None, SampleEffect(1, "glitch", 0, 4_000, estimated=False)),
        ((50_001, 0, 50_002), None, SampleEffect(1, "glitch", 0, 0, estimated=False)),
        ((1_000, 5_000, 999), None, SampleEffect(0, "glitch", 0, 4_000, estimated=False)),
        ((65_530, 30_000, 4), WORD, SampleEffect(10, "glitch", 0, 30_000, estimated=False)),
        ((1_000, 5_000, 5_003), None, SampleEffect(4_003, "released", 4_000, 0, estimated=True)),
        ((1_000, 5_000, 5_020), None, SampleEffect(4_020, "released", 4_000, 0, estimated=True)),
        ((30_000, 60_000, 4), WORD, SampleEffect(0, "held", 0, 29_996, estimated=True)),
        ((1_000, 5_000, 4_998), None, SampleEffect(4_000, "released", 4_000, 0, estimated=True)),
        (
            (1_000, 1_025, 1_030),
            None,
            SampleEffect(30, "released", 25, 0, estimated=False),
        ),  # no more than in two seconds
        ((1_000, 5_000, 9_000), None, SampleEffect(8_000, "released", 4_000, 0, estimated=True)),
        ((1_000, 0, 1), None, SampleEffect(1, "reset", 0, 0, estimated=False)),
        (
            (1_000, 0, 0),
            WORD,
            SampleEffect(0, "held", 0, 0, estimated=False),
        ),  # perhaps it is not read; the first piece decides
        ((1_000, 0, 0, 0, 1), WORD, SampleEffect(1, "reset", 0, 0, estimated=False)),
        ((1_000, 0, 0, 0, 1_001), WORD, SampleEffect(1, "glitch", 0, 0, estimated=False)),
        ((1_000, 15, 16), None, SampleEffect(16, "reset", 15, 0, estimated=False)),
        ((20, 0, 19), None, SampleEffect(19, "reset", 0, 0, estimated=False)),
        ((50_000, 20_000, 20_001), None, SampleEffect(1, "rebase", 0, 20_000, estimated=True)),
        ((65_530, 0, 1), WORD, SampleEffect(7, "rollover", 6, 0, estimated=False)),
        ((65_520, 0, 65_521), WORD, SampleEffect(1, "glitch", 0, 16, estimated=False)),
        (
            (1_000, 60_000, 60_001),
            WORD,
            SampleEffect(1, "rebase", 0, 59_000, estimated=True),
        ),  # up and down look the same
        (
            (5, 65_525, 65_526),
            WORD,
            SampleEffect(1, "rebase", 0, 0, estimated=True),
        ),  # set back by 16, not up by 65,520
        ((0, 2**40, 2**40), None, SampleEffect(0, "rebase", 0, 2**40, estimated=True)),
        ((1_000, 5_000, 20_000), None, SampleEffect(0, "held", 0, 0, estimated=False)),
        ((1_000, 5_000, 9, 70_000), None, SampleEffect(0, "rebase", 0, 69_000, estimated=True)),
    ],
)
def test_the_next_sample_decides(samples: tuple[int, ...], modulus: int | None, expected: SampleEffect) -> None:
    result = reader(modulus).read_all(*((value, float(second)) for second, value in enumerate(samples)))
    assert (
        SampleEffect(result.delta, result.kind, result.released, result.refused, estimated=result.estimated) == expected
    )


def test_held_pieces_are_shown_until_they_are_decided() -> None:
    counter = reader()
    assert counter.read_all((1_000, 0), (5_000, 1)).register.held_pieces == 4_000
    assert counter.read(5_001, 2).register.held_pieces == 0
