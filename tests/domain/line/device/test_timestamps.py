"""Dating of reports: forms of ts, clock rules, and local times that do not exist or exist twice."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.line.device.timestamps import (
    CLOCK_TOLERANCE_MS,
    MAX_OFFSETS,
    ClockRule,
    ClockState,
    TimeSpan,
    date_report,
    parse_ts,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_767_603_600_000  # 2026-01-05 09:00 UTC
SPRING = 1_774_746_000_000  # 2026-03-29 01:00 UTC: Berlin goes from 02:00 to 03:00
AUTUMN = 1_792_890_000_000  # 2026-10-25 01:00 UTC: Berlin goes from 03:00 back to 02:00


def read(ts: float | str, received_at: int = NOW) -> int | None:
    return parse_ts(ts, zone=BERLIN, received_at=received_at)


@pytest.mark.parametrize(
    "ts",
    [
        NOW,
        float(NOW),
        NOW / 1000,
        NOW // 1000,
        "2026-01-05T09:00:00Z",
        "2026-01-05T09:00:00.000+00:00",
        "2026-01-05T04:00:00-05:00",
        "2026-01-05T10:00:00",
        "2026-01-05 10:00",
    ],
)
def test_every_form_of_the_same_instant(ts: float | str) -> None:
    assert read(ts) == NOW


def test_a_number_is_seconds_or_milliseconds_by_its_size_and_not_by_its_spelling() -> None:
    """JSON has one kind of number: whole seconds come with a fraction of zero, or without one."""
    for second in (0, 1, 30_000, 1_500_000_000, 99_999_999_999):
        assert read(second) == read(float(second)) == second * 1_000
    for millis in (100_000_000_000, 1_500_000_000_123):
        assert read(millis) == read(float(millis)) == millis
    assert read(NOW / 1000 + 0.25) == NOW + 250
    assert read(NOW + 0.4) == NOW


@pytest.mark.parametrize(
    "ts", ["", "yesterday", "2026-13-01T00:00:00Z", -1, 10**18, 1e300, "0001-01-01T00:00:00", "24:00"]
)
def test_an_invalid_time_is_unreadable(ts: float | str) -> None:
    assert read(ts) is None


def test_an_ambiguous_local_time_is_the_fold_nearest_receipt() -> None:
    first, second = AUTUMN - 1_800_000, AUTUMN + 1_800_000  # 02:30, twice
    assert read("2026-10-25T02:30:00", first + 5_000) == first
    assert read("2026-10-25T02:30:00", second + 5_000) == second


def test_a_nonexistent_local_time_is_shifted_forward() -> None:
    assert read("2026-03-29T02:30:00", SPRING) == SPRING + 1_800_000  # 03:30, as if the clock had gone on


def dated(
    ts: float | str | None,
    rule: ClockRule,
    state: ClockState | None = None,
    *,
    at: int = NOW,
    late: bool = False,
    absences: tuple[TimeSpan, ...] = (),
) -> tuple[int, str]:
    clock_state = ClockState() if state is None else state
    return date_report(ts, rule=rule, zone=BERLIN, received_at=at, state=clock_state, late=late, backlog_spans=absences)


def test_the_receive_rule_ignores_the_device() -> None:
    assert dated(NOW - 60_000, "receive") == (NOW, "receive")


def test_a_clock_that_agrees_with_ours_is_believed() -> None:
    assert dated(NOW - CLOCK_TOLERANCE_MS, "device") == (NOW - CLOCK_TOLERANCE_MS, "device")
    assert dated(NOW + CLOCK_TOLERANCE_MS, "device") == (NOW + CLOCK_TOLERANCE_MS, "device")
    assert dated(None, "device") == (NOW, "receive")


@pytest.mark.parametrize("off", [CLOCK_TOLERANCE_MS + 1, 60_000, 3_600_000, 10**11])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_is_ahead_or_behind_is_skewed(off: int, sign: int) -> None:
    """At first contact, and for as long as it is, after it was right."""
    assert dated(NOW + sign * off, "device") == (NOW, "skewed")
    state = ClockState()
    dated(NOW, "device", state)
    for at in (NOW + 1, NOW + 100_000, NOW + 10**10):
        assert dated(at + sign * (off + CLOCK_TOLERANCE_MS), "device", state, at=at) == (at, "skewed")


def test_an_unreadable_time_is_skewed() -> None:
    assert dated("nonsense", "device") == (NOW, "skewed")


def test_reports_stored_since_the_device_was_last_seen_are_dated_by_its_clock() -> None:
    """Ten minutes without a network, then all of it within two seconds, then live again."""
    state = ClockState()
    dated(NOW, "device", state)
    back = NOW + 600_000
    for index in range(60):
        happened = NOW + 10_000 * index
        assert dated(happened, "device", state, at=back + 30 * index) == (happened, "device")
    assert dated(back + 2_000, "device", state, at=back + 2_100) == (back + 2_000, "device")


def test_a_clock_that_stays_behind_is_no_backlog() -> None:
    """It was silent for ten minutes and returns five minutes behind: a buffer would catch up."""
    state = ClockState()
    dated(NOW, "device", state)
    back = NOW + 600_000
    used = [dated(at - 300_000, "device", state, at=at)[1] for at in range(back, back + 120_001, 10_000)]
    assert used == ["device"] * 6 + ["skewed"] * 7


def test_once_skewed_only_the_right_time_restores_trust() -> None:
    state = ClockState()
    dated(NOW, "device", state)
    assert dated(30_000, "device", state, at=NOW + 60_000) == (NOW + 60_000, "skewed")
    assert dated(NOW + 90_000, "device", state, at=NOW + 100_000)[1] == "skewed", "within the gap, and not believed"
    assert dated(NOW + 109_000, "device", state, at=NOW + 110_000) == (NOW + 109_000, "device")


def test_a_report_of_a_known_absence_is_dated_by_the_device() -> None:
    state = ClockState()
    dated(NOW, "device", state)
    dated(NOW + 600_000, "device", state, at=NOW + 600_000)
    away = (TimeSpan(NOW + 60_000, NOW + 500_000),)
    assert dated(NOW + 100_000, "device", state, at=NOW + 601_000, absences=away) == (NOW + 100_000, "device")
    assert dated(NOW + 30_000, "device", state, at=NOW + 602_000, absences=away)[1] == "skewed"


def test_a_late_report_is_dated_by_a_trusted_clock_and_teaches_nothing() -> None:
    state = ClockState()
    dated(NOW, "device", state)
    assert dated(NOW - 30_000, "device", state, at=NOW + 1_000, late=True) == (NOW - 30_000, "device")
    assert dated(NOW + 2_000, "device", state, at=NOW + 2_000) == (NOW + 2_000, "device")
    dated(30_000, "device", state, at=NOW + 3_000)
    assert dated(NOW - 30_000, "device", state, at=NOW + 4_000, late=True) == (NOW + 4_000, "skewed")


@given(drift=st.integers(-(10**9), 10**9), delays=st.lists(st.integers(0, 5_000), min_size=1, max_size=200))
def test_a_corrected_clock_is_off_by_no_more_than_the_least_delay(drift: int, delays: list[int]) -> None:
    """However wrong the device's clock is: the error is the smallest delay of the window, and never the future."""
    state = ClockState()
    for index, delay in enumerate(delays):
        happened = NOW - 10**7 + index
        at, used = dated(happened + drift, "corrected", state, at=happened + delay)
        assert used == "corrected"
        assert at - happened == min(delays[max(0, index + 1 - MAX_OFFSETS) : index + 1])
        assert at <= happened + delay
    assert len(state.offsets) <= MAX_OFFSETS


@given(before=st.integers(-(10**9), 10**9), step=st.integers(-(10**9), 10**9))
def test_a_corrected_clock_that_is_set_is_learned_again(before: int, step: int) -> None:
    """A step back less than the silence before it may be a backlog; after a minute it is known not to be."""
    state = ClockState()
    for at in range(NOW, NOW + 50_000, 10_000):
        dated(at + before, "corrected", state, at=at)
    for at in range(NOW + 70_000, NOW + 150_000, 10_000):
        dated(at + before + step, "corrected", state, at=at)
    timestamp, used = dated(NOW + 150_000 + before + step, "corrected", state, at=NOW + 150_000)
    assert used == "corrected"
    assert abs(timestamp - (NOW + 150_000)) <= CLOCK_TOLERANCE_MS


def test_a_new_boot_voids_the_learned_offset() -> None:
    state = ClockState()
    dated(NOW - 3_600_000, "corrected", state)
    state.reset_offsets()
    assert dated(NOW + 10_000 - 60_000, "corrected", state, at=NOW + 10_000) == (NOW + 10_000, "corrected")
