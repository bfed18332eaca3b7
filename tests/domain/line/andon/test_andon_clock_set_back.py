"""Switches of a station whose clock is set back."""

import pytest

from bridge.domain.reports import AndonReport, StateReport
from tests.domain.line.andon.late_presses import LateStation
from tests.support.packing_line import T0

BACK = [30, 3_600, 10**9]


def hold_button(desk: LateStation, since: int, until: int, *, back: int) -> None:
    for at in range(since, until, 10):
        desk.level(True, at, made=at - back)


@pytest.mark.parametrize("back", BACK)
def test_a_button_held_while_its_clock_is_set_back_makes_no_press(back: int) -> None:
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (True, 30)):
        desk.level(level, at)
    desk.resolve(35)
    hold_button(desk, 40, 300, back=back)
    assert desk.calls() == ["1"]


@pytest.mark.parametrize("back", BACK)
def test_a_switch_left_on_while_its_clock_is_set_back_repeats_nothing(back: int) -> None:
    desk = LateStation("latching")
    desk.level(False, 10)
    desk.level(True, 20)
    hold_button(desk, 30, 300, back=back)
    assert desk.repeats() == [0]


@pytest.mark.parametrize("kind", ["momentary", "latching"])
@pytest.mark.parametrize("back", [3_600, 10**9])
@pytest.mark.parametrize("released", [25, 40])
def test_a_press_after_a_clock_was_set_back_is_one(kind: str, back: int, released: int) -> None:
    """The clock may be set back while the button is up or down, and the button may be held for any time."""
    desk = LateStation(kind)
    desk.level(False, 10)
    desk.level(True, 20)
    desk.level(False, released, made=released if released == 25 else released - back)
    hold_button(desk, 50, 300, back=back)
    desk.level(False, 300, made=300 - back)
    desk.resolve(305)
    hold_button(desk, 310, 400, back=back)
    assert desk.calls() == ["1", "1", "2"]


@pytest.mark.parametrize("released", [111, 250])
def test_a_clock_known_to_be_set_back_is_followed_over_a_cut_of_the_network(released: int) -> None:
    """Buffered reports arrive in order, faster than they were made, while the button is held."""
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (False, 25)):
        desk.level(level, at)
    hold_button(desk, 40, 110, back=3_600)
    for made in range(110, released, 10):
        desk.level(True, released, made=made - 3_600)
    assert desk.level(False, released + 0.1, made=released - 3_600) is None
    hold_button(desk, released + 10, released + 50, back=3_600)
    assert desk.repeats() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["momentary", "latching"])
@pytest.mark.parametrize("pause", [0.1, 0.5])
def test_late_levels_one_after_another_are_no_clock_set_back(kind: str, pause: float) -> None:
    """They come faster than they were made, and the contact is released: the next press is one."""
    desk = LateStation(kind)
    desk.level(False, 10)
    desk.level(False, 50)
    for number, (level, made) in enumerate(((True, 20), (False, 24), (True, 30), (True, 34))):
        desk.level(level, 51 + number * pause, made=made)
    desk.resolve(55)
    assert desk.level(True, 600) is None
    assert desk.calls()[-1] == "2"


def test_a_burst_of_late_levels_is_no_clock_set_back_however_near_they_were_made() -> None:
    desk = LateStation()
    desk.level(False, 10)
    desk.level(True, 20)
    desk.resolve(100)
    desk.level(True, 200)
    desk.level(True, 201, made=100)
    assert desk.level(False, 201.1, made=101) is None
    assert desk.calls() == ["1", "2"]


def test_late_levels_that_keep_pace_hide_no_press_either() -> None:
    """They look like a clock set back; the button is up all the same."""
    desk = LateStation()
    desk.level(False, 10)
    desk.level(False, 300)
    for at in (301, 305):
        desk.level(True, at, made=at - 201)
    assert desk.level(True, 600) is None
    assert desk.calls() == ["1", "1"]


@pytest.mark.parametrize("delay", [0, 3])
def test_no_press_is_lost_where_a_clock_set_back_has_caught_up(delay: int) -> None:
    """The release seems to be of before a TRUE that was a press."""
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (True, 200)):
        desk.level(level, at)
    desk.level(False, 210 + delay, made=110)
    desk.resolve(215)
    assert desk.level(True, 320, made=220) is None
    assert desk.calls()[-1] == "2"


@pytest.mark.parametrize(("back", "delay"), [(5, 0), (5, 3), (2, 3)])
def test_no_press_is_lost_where_a_clock_was_set_back_a_little(back: int, delay: int) -> None:
    """The release seems to be of before the last press; delayed, it seems later than the clock makes it."""
    desk = LateStation()
    desk.level(False, 10)
    desk.level(True, 20)
    desk.level(False, 21 + delay, made=21 - back)
    assert desk.level(True, 27, made=27 - back) is None
    assert desk.repeats() == [0, 1]


def test_a_press_that_is_delayed_after_a_clock_was_set_back_is_one() -> None:
    desk = LateStation()
    desk.level(False, 10)
    desk.level(True, 20)
    for level, at, made in ((True, 30, 30), (False, 40, 40), (True, 57, 50)):
        desk.level(level, at, made=made - 3_600)
    assert desk.repeats() == [0, 1]


def test_a_bounce_after_a_clock_was_set_back_hides_no_press() -> None:
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (False, 25)):
        desk.level(level, at)
    for level, made, reason in ((True, 30, None), (False, 30.5, None), (True, 31, "debounced"), (True, 36, None)):
        assert desk.level(level, made, made=made - 3_600) == reason
    assert desk.repeats() == [0, 1, 2]


@pytest.mark.parametrize("ahead", [0, 5])
def test_presses_apart_by_arrival_are_no_bounce_whatever_moved_the_lines_time(ahead: int) -> None:
    """The clock of a machine beside it is ahead, and takes the line's time along."""
    desk = LateStation()
    desk.line.report("packer", StateReport(state="running", ts=T0 + ahead * 1_000), at=0)
    for at, level in ((0.1, False), (0.2, True), (1.5, False), (4.9, True)):
        desk.line.report("desk", AndonReport(input=level, andon_type="equipment"), at=at)
    for at in (10, 13.4):
        desk.line.report("desk", AndonReport(action="raise", andon_type="equipment"), at=at)
    assert desk.repeats() == [0, 1, 2, 3]
