"""A counter that falls: a reset, a wrap, jitter, or a register that was not read."""

import pytest

from tests.core.line.counter_reader import WORD, reader


def test_after_a_new_boot_no_wrap_is_believed() -> None:
    """A 16-bit counter at 1000, 12 minutes without power, a new boot: what it shows then was made since."""
    given_ = reader(WORD, rate=6_000.0)
    given_.see(1_000, 0, boot=1)
    for value, at in ((0, 720), (1, 730), (2, 740)):
        given_.see(value, at, boot=2)
    assert (given_.total, given_.estimated) == (2, True)


def test_a_wrap_over_a_new_boot_is_a_reset() -> None:
    given_ = reader(WORD)
    given_.see(65_530, 0, boot=1)
    given_.see(4, 1, boot=2)
    assert given_.see(5, 2, boot=2).kind == "reset"
    assert (given_.total, given_.estimated) == (5, True)


def test_a_wrap_within_a_boot_is_one_whatever_the_connection_did() -> None:
    given_ = reader(WORD)
    given_.see(65_530, 0, boot=1)
    given_.lose_touch()
    assert given_.see(4, 1, boot=1).kind == "rollover"


def test_without_boots_a_loss_of_touch_makes_a_fall_a_reset() -> None:
    given_ = reader(WORD)
    given_.see(65_530, 0)
    given_.lose_touch()
    given_.see_all((4, 1), (5, 2))
    assert (given_.total, given_.estimated) == (5, True)


def test_a_wrap_is_not_believed_where_the_reach_is_not_below_half_the_modulus() -> None:
    """12 minutes at 6,000/min may be more than a round: 64,536 pieces are not made out of a fall."""
    given_ = reader(WORD, rate=6_000.0)
    given_.see_all((1_000, 0), (0, 720), (1, 730), (2, 740))
    assert (given_.total, given_.estimated) == (2, True)


@pytest.mark.parametrize(("elapsed", "estimated"), [(80, False), (90, True), (320, True)])
def test_a_wrap_within_a_great_reach_is_estimated(elapsed: float, *, estimated: bool) -> None:
    given_ = reader(WORD, rate=6_000.0)
    given_.see(65_000, 0)
    found = given_.see(100, elapsed)
    assert (found.delta, found.kind, found.estimated) == (636, "rollover", estimated)


def test_a_wrap_is_not_believed_beyond_twice_the_fastest_rate_seen() -> None:
    """A machine that makes 30 a minute did not make 5,556 in a minute, though the greatest rate would allow it."""
    given_ = reader(WORD, rate=6_000.0)
    for minute in range(8):
        given_.see(59_790 + minute * 30, minute * 60)
    given_.see_all((20, 480), (50, 540))
    assert (given_.total, given_.estimated) == (210 + 50, True)


def test_a_reset_after_an_absence_has_an_unknown_part() -> None:
    given_ = reader()
    given_.see_all((483, 0), (310, 720), (312, 730))
    assert (given_.total, given_.estimated) == (312, True)


def test_a_register_that_shows_nothing_after_a_boot_may_have_kept_its_count() -> None:
    given_ = reader()
    given_.see(1_000, 0, boot=1)
    given_.see(0, 60, boot=2)
    given_.see(1_003, 61, boot=2)
    assert given_.total == 3


def test_a_climb_over_a_new_boot_may_hide_a_reset() -> None:
    given_ = reader()
    given_.see(12, 0, boot=1)
    assert given_.see(20, 60, boot=2).estimated


def test_a_fall_within_a_dip_after_a_new_boot_is_a_reset() -> None:
    given_ = reader()
    given_.see(6, 0, boot=1)
    given_.see(2, 60, boot=2)
    given_.see(3, 61, boot=2)
    assert (given_.total, given_.estimated) == (3, True)


def test_a_zero_that_was_not_read_is_told_from_a_reset() -> None:
    """60 a minute, each 0.5 s: 50001, 0, 50002, 50003."""
    given_ = reader(rate=60.0)
    given_.see_all((50_001, 0), (0, 0.5), (50_002, 1), (50_003, 1.5))
    assert (given_.total, given_.estimated) == (2, False)


def test_jitter_around_the_wrap_counts_nothing_twice() -> None:
    given_ = reader(WORD)
    given_.see_all((3, 0), (65_534, 1), (5, 2))
    assert given_.total == 2
