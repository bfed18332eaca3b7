"""Presses of a station without a sequence that come late, at once, or once more: none of them hides another."""

import pytest

from bridge.domain.events import EventType
from bridge.domain.reports import AndonReport
from tests.domain.line.andon.late_presses import LateStation
from tests.support.packing_line import T0


@pytest.mark.parametrize(("apart", "reason", "repeats"), [(4, None, [0, 1]), (1, "debounced", [0])])
def test_two_presses_that_waited_for_a_connection_are_two(apart: float, reason: str | None, repeats: list[int]) -> None:
    desk = LateStation()
    assert desk.raise_call(300, made=100) is None
    assert desk.raise_call(300.1, made=100 + apart) == reason
    assert desk.repeats() == repeats


def test_a_copy_of_a_press_that_comes_after_its_release_hides_no_later_press() -> None:
    """Nothing releases it again, so the contact seems to be held."""
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (False, 21)):
        desk.level(level, at)
    assert desk.level(True, 26, made=20) is None, "not proven to be a copy: taken once more rather than lost"
    assert desk.level(True, 600) is None
    assert desk.repeats()[-1] == 2


def test_a_press_that_was_stored_and_is_in_order_is_held_until_it_is_released() -> None:
    """Its `ts` precedes that of the connection, which arrived first; its number shows that it is the latest."""
    desk = LateStation(sequenced=True)
    for level, at, made in ((False, 10, 10), (False, 50, 50), (True, 50.1, 30)):
        desk.level(level, at, made=made)
    assert desk.level(True, 50.2, made=50) == "unchanged"
    assert desk.repeats() == [0]


@pytest.mark.parametrize("kind", ["momentary", "latching"])
@pytest.mark.parametrize("sequenced", [False, True])
def test_a_press_behind_its_release_hides_no_press_after_its_call(kind: str, *, sequenced: bool) -> None:
    desk = LateStation(kind, sequenced=sequenced)
    desk.level(False, 10, seq=1)
    desk.level(False, 30, seq=3)
    assert desk.level(True, 31, made=20, seq=2) is None
    desk.resolve(100)
    assert desk.level(True, 600, seq=4) is None
    assert desk.calls() == ["1", "2"]


@pytest.mark.parametrize("kind", ["momentary", "latching"])
@pytest.mark.parametrize("resolved", [False, True])
def test_without_a_clock_the_sequence_shows_that_a_press_was_overtaken(kind: str, *, resolved: bool) -> None:
    desk = LateStation(kind, sequenced=True, clock=False)
    for level, seq in ((False, 1), (False, 3), (True, 2)):
        desk.level(level, 10 * seq, seq=seq)
    if resolved:
        desk.resolve(100)
    assert desk.level(True, 200, seq=4) is None
    assert desk.calls() == ["1", "2" if resolved else "1"]


def test_a_report_that_overtook_a_switch_and_is_no_level_does_not_reset_it() -> None:
    desk = LateStation("latching", sequenced=True, clock=False)
    for seq in (0, 2):
        other = AndonReport(input=False, andon_type="quality", boot_id=1, seq=seq)
        desk.line.report("desk", other, at=10 * seq)
    assert desk.level(True, 30, seq=1) is None
    assert desk.level(True, 40, seq=3) == "unchanged"


@pytest.mark.parametrize("kind", ["momentary", "latching"])
@pytest.mark.parametrize("sequenced", [False, True])
def test_a_release_behind_the_press_that_follows_it_shows_that_press(kind: str, *, sequenced: bool) -> None:
    """It is dated when that is known; the button is held from then on, and pressed again after a release only."""
    desk = LateStation(kind, sequenced=sequenced)
    desk.level(False, 10, seq=1)
    desk.level(True, 20, seq=2)
    desk.resolve(100)
    assert desk.level(True, 200, seq=4) in ("unchanged", "not_released"), "nobody has seen it released"
    assert desk.level(False, 201, made=60, seq=3) is None
    assert desk.line.of(EventType.ANDON_EVENT, "desk")[-1].timestamp == T0 + 201_000
    assert desk.level(True, 210, seq=5) == "unchanged"
    assert desk.level(False, 220, seq=6) is None
    assert desk.level(True, 230, seq=7) is None
    assert desk.calls() == ["1", "2", "2"]


@pytest.mark.parametrize("kind", ["momentary", "latching"])
@pytest.mark.parametrize(("sequenced", "clock"), [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("release_first", [False, True])
@pytest.mark.parametrize("resolved", [False, True])
def test_a_release_behind_that_of_the_press_that_follows_it_shows_that_press(
    kind: str, *, sequenced: bool, clock: bool, release_first: bool, resolved: bool
) -> None:
    """The last release is known already: the level stays FALSE, and the next TRUE is a separate press."""
    desk = LateStation(kind, sequenced=sequenced, clock=clock)
    desk.level(False, 1, seq=1)
    desk.level(True, 10, seq=2)
    if resolved:
        desk.resolve(12)
    assert desk.level(True, 15.5, seq=4) in ("unchanged", "not_released")
    if release_first:
        assert desk.level(False, 16.5, seq=5) is None
    assert desk.level(False, 20, made=13, seq=3) is None
    assert desk.calls() == ["1", "2" if resolved else "1"]
    desk.level(False, 20.5, made=16.5 if release_first else 20.5, seq=6)
    assert desk.level(True, 30, seq=7) is None
    assert desk.calls() == (["1", "2", "2"] if resolved else ["1", "1", "1"])


def test_a_release_shows_a_press_whatever_release_of_before_the_last_press_came_first() -> None:
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (True, 200)):
        desk.level(level, at)
    for made in (15, 60):
        desk.level(False, 201, made=made)
    assert desk.repeats() == [0, 1]


def test_a_release_from_before_a_press_or_after_the_last_true_shows_none() -> None:
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (True, 30), (False, 40)):
        desk.level(level, at)
    for made in (15, 35):
        assert desk.level(False, 41, made=made) == "unchanged"
    assert desk.level(True, 50) is None
    for made in (15, 25, 35, 45):
        desk.level(False, 51, made=made)
    assert desk.repeats() == [0, 1], "the press that was seen explains them all"


def test_without_a_clock_a_late_release_shows_no_press_where_none_was_missing_before_the_last_true() -> None:
    """The first release fills no gap between the press and the TRUE that follows it."""
    desk = LateStation("momentary", sequenced=True, clock=False)
    for level, seq in ((False, 1), (True, 3), (True, 4), (False, 2)):
        desk.level(level, 10 * seq if seq > 2 else 50, seq=seq)
    assert desk.repeats() == [0]


def test_without_a_clock_what_a_release_has_shown_to_be_a_press_is_not_shown_again() -> None:
    desk = LateStation("momentary", sequenced=True, clock=False)
    for at, level, seq in ((10, False, 1), (20, True, 2), (60, True, 6), (70, False, 3), (80, False, 4)):
        desk.level(level, at, seq=seq)
    assert desk.repeats() == [0, 1]


def test_several_late_levels_of_one_release_show_one_press() -> None:
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (True, 200)):
        desk.level(level, at)
    for made in (60, 70, 60, 80):
        desk.level(False, 201, made=made)
    desk.level(True, 210)
    assert desk.repeats() == [0, 1]


def test_late_releases_of_two_presses_show_both() -> None:
    """Also where the first of the presses comes late itself."""
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (True, 200)):
        desk.level(level, at)
    for level, made in ((False, 60), (True, 100), (False, 150)):
        desk.level(level, 201, made=made)
    assert desk.repeats() == [0, 1, 2]


def test_a_late_release_shows_a_press_of_a_button_first_seen_pressed() -> None:
    desk = LateStation()
    assert desk.level(True, 20) == "unobserved_edge"
    assert desk.level(False, 21, made=10) is None
    assert desk.calls() == ["1"]


def test_a_release_from_before_the_press_shows_none() -> None:
    desk = LateStation()
    for level, at in ((False, 10), (True, 20), (True, 30)):
        desk.level(level, at)
    desk.level(False, 31, made=15)
    assert desk.repeats() == [0]


@pytest.mark.parametrize(("released_at", "repeats"), [(21, [0]), (100, [0, 1])])
def test_a_late_release_within_a_bounce_shows_none(released_at: float, repeats: list[int]) -> None:
    """The press is as old as the TRUE that overtook its release, not as that release."""
    desk = LateStation()
    desk.level(False, 10)
    for level, made in ((True, 20), (True, released_at), (False, 20.6)):
        desk.level(level, 101, made=made)
    assert desk.repeats() == repeats
