"""A counter that falls: a reset, a wrap, jitter, or a register that was not read."""

import pytest

from tests.domain.line.counters.counter_reader import WORD, reader


def test_after_a_new_boot_no_wrap_is_believed() -> None:
    """A 16-bit counter at 1000, 12 minutes without power, a new boot: the value shown was made since."""
    counter = reader(WORD, rate=6_000.0)
    counter.read(1_000, 0, boot=1)
    for value, at in ((0, 720), (1, 730), (2, 740)):
        counter.read(value, at, boot=2)
    assert (counter.total, counter.estimated) == (2, True)


def test_a_wrap_over_a_new_boot_is_a_reset() -> None:
    counter = reader(WORD)
    counter.read(65_530, 0, boot=1)
    counter.read(4, 1, boot=2)
    assert counter.read(5, 2, boot=2).kind == "reset"
    assert (counter.total, counter.estimated) == (5, True)


def test_a_wrap_within_a_boot_is_one_whatever_the_connection_did() -> None:
    counter = reader(WORD)
    counter.read(65_530, 0, boot=1)
    counter.interrupt()
    assert counter.read(4, 1, boot=1).kind == "rollover"


def test_without_boots_a_loss_of_touch_makes_a_fall_a_reset() -> None:
    counter = reader(WORD)
    counter.read(65_530, 0)
    counter.interrupt()
    counter.read_all((4, 1), (5, 2))
    assert (counter.total, counter.estimated) == (5, True)


def test_a_wrap_is_not_believed_where_the_reach_is_not_below_half_the_modulus() -> None:
    """12 minutes at 6,000/min may be more than a round: 64,536 pieces are not made out of a fall."""
    counter = reader(WORD, rate=6_000.0)
    counter.read_all((1_000, 0), (0, 720), (1, 730), (2, 740))
    assert (counter.total, counter.estimated) == (2, True)


@pytest.mark.parametrize(("elapsed", "estimated"), [(80, False), (90, True), (320, True)])
def test_a_wrap_within_a_great_reach_is_estimated(elapsed: float, *, estimated: bool) -> None:
    counter = reader(WORD, rate=6_000.0)
    counter.read(65_000, 0)
    result = counter.read(100, elapsed)
    assert (result.delta, result.kind, result.estimated) == (636, "rollover", estimated)


def test_a_wrap_is_not_believed_beyond_twice_the_fastest_rate_seen() -> None:
    """A machine that makes 30 a minute did not make 3,556 in 40 s, though the greatest rate would allow it."""
    counter = reader(WORD, rate=6_000.0)
    for number in range(8):
        counter.read(61_930 + number * 10, number * 20)
    counter.read_all((20, 160), (30, 180))
    assert (counter.total, counter.estimated) == (70 + 30, True)


def test_a_reset_after_an_absence_has_an_unknown_part() -> None:
    counter = reader()
    counter.read_all((483, 0), (310, 720), (312, 730))
    assert (counter.total, counter.estimated) == (312, True)


def test_a_register_that_shows_nothing_after_a_boot_may_have_kept_its_count() -> None:
    counter = reader()
    counter.read(1_000, 0, boot=1)
    counter.read(0, 60, boot=2)
    counter.read(1_003, 61, boot=2)
    assert counter.total == 3


def test_a_climb_over_a_new_boot_may_hide_a_reset() -> None:
    counter = reader()
    counter.read(12, 0, boot=1)
    assert counter.read(20, 60, boot=2).estimated


def test_a_fall_within_a_dip_after_a_new_boot_is_a_reset() -> None:
    counter = reader()
    counter.read(6, 0, boot=1)
    counter.read(2, 60, boot=2)
    counter.read(3, 61, boot=2)
    assert (counter.total, counter.estimated) == (3, True)


def test_a_zero_that_was_not_read_is_distinguished_from_a_reset() -> None:
    """60 a minute, each 0.5 s: 50001, 0, 50002, 50003."""
    counter = reader(rate=60.0)
    counter.read_all((50_001, 0), (0, 0.5), (50_002, 1), (50_003, 1.5))
    assert (counter.total, counter.estimated) == (2, False)


def test_jitter_around_the_wrap_counts_nothing_twice() -> None:
    counter = reader(WORD)
    counter.read_all((3, 0), (65_534, 1), (5, 2))
    assert counter.total == 2


def test_a_small_modulus_wraps_too() -> None:
    """The slack that makes up for jitter is an eighth of a round at most: else no wrap could be believed."""
    counter = reader(16, rate=60.0)
    counter.read(14, 0)
    assert (counter.read(1, 1).delta, counter.total) == (3, 3)


def test_a_climb_in_which_a_whole_round_may_be_missing_is_estimated() -> None:
    counter = reader(WORD, rate=6_000.0)
    counter.read(1_000, 0)
    result = counter.read(2_000, 720)
    assert (result.delta, result.kind, result.estimated) == (1_000, "count", True)


def test_a_register_that_was_set_back_used_none_of_the_time_before() -> None:
    counter = reader(WORD)
    counter.read_all((1_000, 0), (65_000, 600))
    assert counter.read(65_400, 601).kind == "held"


@pytest.mark.parametrize(
    ("boot", "zeros", "delta", "kind"), [(2, 1, 8, "reset"), (1, 2, 8, "reset"), (1, 1, 3, "glitch")]
)
def test_which_of_two_levels_a_sample_follows(boot: int, zeros: int, delta: int, kind: str) -> None:
    """5, 0, 8 may be three pieces after a zero that was not read, or eight after a reset."""
    counter = reader()
    counter.read(5, 0, boot=1)
    for number in range(zeros):
        counter.read(0, 10 + number, boot=boot)
    result = counter.read(8, 20, boot=boot)
    assert (result.delta, result.kind) == (delta, kind)
    assert result.estimated is (zeros == 1)


def test_a_power_cut_while_a_register_shows_nothing_makes_the_reset_estimated() -> None:
    counter = reader()
    counter.read_all((1_241, 0), (0, 1))
    counter.interrupt()
    counter.read_all((0, 2), (3, 3))
    assert (counter.total, counter.estimated) == (3, True)


@pytest.mark.parametrize("before_the_suspect", [True, False])
def test_a_wrap_past_a_suspect_is_not_believed_over_a_loss_of_touch(*, before_the_suspect: bool) -> None:
    counter = reader(WORD)
    counter.read(65_530, 0)
    if before_the_suspect:
        counter.interrupt()
    counter.read(30_000, 1)
    if not before_the_suspect:
        counter.interrupt()
    assert counter.read(4, 2).kind == "held"


def test_a_wrap_of_a_suspect_is_not_believed_over_a_loss_of_touch() -> None:
    counter = reader(WORD)
    counter.read_all((40_000, 0), (65_530, 1))
    counter.interrupt()
    assert counter.read(4, 2).kind == "held"


@pytest.mark.parametrize(
    ("readings", "modulus"),
    [((1_000, 0, 3), None), ((1_000, 0, 0, 3), None), ((40_000, 65_530, 4), WORD), ((500, 30_000, 8), None)],
)
@pytest.mark.parametrize("new_from", [1, 2, 3])
def test_a_birth_with_the_boot_id_of_before_cuts_as_a_new_one_does(
    readings: tuple[int, ...], modulus: int | None, new_from: int
) -> None:
    """Also while a sample is held: the pieces made between it and the power cut are unknown."""
    by_id, by_birth = reader(modulus), reader(modulus)
    for number, value in enumerate((*readings, readings[-1] + 5)):
        if number == new_from:
            by_birth.restart()
        one = by_id.read(value, number * 10, boot=2 if number >= new_from else 1)
        other = by_birth.read(value, number * 10, boot=1)
        assert (one.delta, one.kind, one.estimated) == (other.delta, other.kind, other.estimated)
    assert by_birth.estimated


def test_a_dip_within_a_new_boot_is_of_that_boot() -> None:
    counter = reader(WORD)
    counter.read(65_530, 0, boot=1)
    counter.read(65_528, 1, boot=2)
    result = counter.read(4, 2, boot=2)
    assert (result.delta, result.kind) == (10, "rollover")
