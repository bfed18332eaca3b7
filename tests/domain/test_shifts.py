"""Shift windows: they tile time in every zone, and a day of a clock change has 23 or 25 hours."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.shifts import ShiftConfig, ShiftPlan

HOUR = 3_600_000


def shift(name: str, start: str, end: str) -> ShiftConfig:
    return ShiftConfig.model_validate({"id": name, "start": start, "end": end})


THREE = (shift("early", "06:00", "14:00"), shift("late", "14:00", "22:00"), shift("night", "22:00", "06:00"))
PLANS = (
    ShiftPlan.create("Europe/Berlin", ()),
    ShiftPlan.create("Europe/Berlin", THREE),
    ShiftPlan.create("America/New_York", THREE[:2]),
    ShiftPlan.create("Australia/Lord_Howe", (shift("odd", "01:45", "02:15"),)),
    ShiftPlan.create("UTC", (shift("night", "22:30", "06:15"),)),
)


def millis(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


@given(which=st.integers(0, len(PLANS) - 1), at=st.integers(millis(2024, 1, 1), millis(2030, 1, 1)))
def test_windows_tile_time(which: int, at: int) -> None:
    """Every instant lies in exactly one window, and the next begins where it ends."""
    plan = PLANS[which]
    window = plan.window_at(at)
    assert window.start <= at < window.end
    assert plan.window_at(window.start) == plan.window_at(window.end - 1) == window
    following = plan.window_at(window.end)
    assert following.start == window.end
    assert plan.window_at(window.start - 1).end == window.start


@given(which=st.sampled_from((0, 2, 4)), at=st.integers(millis(2024, 1, 1), millis(2030, 1, 1)))
def test_hours_tile_time(which: int, at: int) -> None:
    """Holds where clocks change by whole hours. Lord Howe's half hour makes an hour of 30 minutes."""
    plan = PLANS[which]
    start, end = plan.hour_at(at)
    assert start <= at < end
    assert plan.hour_at(end)[0] == end
    assert plan.hour_at(start - 1)[1] == start


@given(at=st.integers(millis(2024, 1, 1), millis(2030, 1, 1)))
def test_a_window_follows_the_wall_clock(at: int) -> None:
    local = datetime.fromtimestamp(at / 1000, ZoneInfo("Europe/Berlin"))
    expected = "early" if 6 <= local.hour < 14 else "late" if 14 <= local.hour < 22 else "night"
    assert PLANS[1].window_at(at).shift_id == expected


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)])
def test_a_day_of_a_clock_change_has_23_or_25_hours(day: tuple[int, int, int], hours: int) -> None:
    window = PLANS[0].window_at(millis(*day, 12))
    assert window.end - window.start == hours * HOUR
    assert window.production_day == f"{day[0]}-{day[1]:02d}-{day[2]:02d}"


def test_a_night_shift_counts_for_the_day_it_began() -> None:
    window = PLANS[1].window_at(millis(2026, 1, 6, 1))
    assert (window.shift_id, window.production_day) == ("night", "2026-01-05")


def test_between_shifts_nothing_is_scheduled() -> None:
    window = PLANS[4].window_at(millis(2026, 1, 6, 12))
    assert not window.is_scheduled
    assert (window.start, window.end) == (millis(2026, 1, 6, 6, 15), millis(2026, 1, 6, 22, 30))


@pytest.mark.parametrize(
    ("hour", "minutes", "expected"),
    [
        (5, 75, (6, 6, 15)),  # up to the very end of the shift
        (5, 76, (6, 22, 31)),  # the rest of it in the next
        (12, 1, (6, 22, 31)),  # from between the shifts
        (12, 465, (7, 6, 15)),
        (12, 466, (7, 22, 31)),
    ],
)
def test_between_shifts_no_scheduled_time_passes(hour: int, minutes: int, expected: tuple[int, int, int]) -> None:
    """The plan has one shift, from 22:30 to 06:15."""
    after = PLANS[4].scheduled_after(millis(2026, 1, 6, hour), minutes * 60_000)
    assert after == millis(2026, 1, *expected)


@pytest.mark.parametrize(
    "shifts",
    [
        (shift("a", "06:00", "14:00"), shift("b", "13:59", "22:00")),
        (shift("a", "22:00", "06:30"), shift("b", "06:00", "14:00")),
        (shift("a", "06:00", "06:00"), shift("b", "12:00", "13:00")),
    ],
)
def test_overlapping_shifts_are_refused(shifts: tuple[ShiftConfig, ...]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        ShiftPlan.create("UTC", shifts)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="Mars/Phobos"):
        ShiftPlan.create("Mars/Phobos", ())
