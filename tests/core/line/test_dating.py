"""When a report happened: forms of ts, clock rules, and local times that do not exist or exist twice."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.line.dating import MAX_AHEAD_MS, OFFSETS, date, read_ts

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_767_603_600_000  # 2026-01-05 09:00 UTC
SPRING = 1_774_746_000_000  # 2026-03-29 01:00 UTC: Berlin goes from 02:00 to 03:00
AUTUMN = 1_792_890_000_000  # 2026-10-25 01:00 UTC: Berlin goes from 03:00 back to 02:00


def read(ts: float | str, received_at: int = NOW) -> int | None:
    return read_ts(ts, zone=BERLIN, received_at=received_at)


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
def test_what_is_no_time_is_unreadable(ts: float | str) -> None:
    assert read(ts) is None


def test_an_ambiguous_local_time_is_the_fold_nearest_receipt() -> None:
    first, second = AUTUMN - 1_800_000, AUTUMN + 1_800_000  # 02:30, twice
    assert read("2026-10-25T02:30:00", first + 5_000) == first
    assert read("2026-10-25T02:30:00", second + 5_000) == second


def test_a_nonexistent_local_time_is_shifted_forward() -> None:
    assert read("2026-03-29T02:30:00", SPRING) == SPRING + 1_800_000  # 03:30, as if the clock had gone on


def dated(ts: float | str | None, rule: str, offsets: list[int] | None = None) -> tuple[int, str]:
    assert rule in ("receive", "device", "corrected")
    known = [] if offsets is None else offsets
    return date(ts, rule=rule, zone=BERLIN, received_at=NOW, offsets=known)  # type: ignore[arg-type]


def test_the_receive_rule_ignores_the_device() -> None:
    assert dated(NOW - 60_000, "receive") == (NOW, "receive")


def test_the_device_rule_believes_up_to_five_seconds_ahead() -> None:
    assert dated(NOW - 60_000, "device") == (NOW - 60_000, "device")
    assert dated(NOW + MAX_AHEAD_MS, "device") == (NOW + MAX_AHEAD_MS, "device")
    assert dated(NOW + MAX_AHEAD_MS + 1, "device") == (NOW, "skewed")
    assert dated("nonsense", "device") == (NOW, "skewed")
    assert dated(None, "device") == (NOW, "receive")


@given(drift=st.integers(-(10**9), 10**9), delays=st.lists(st.integers(0, 30_000), min_size=1, max_size=200))
def test_a_corrected_clock_is_off_by_no_more_than_the_least_delay(drift: int, delays: list[int]) -> None:
    """However wrong the device's clock is: the error is the smallest delay of the window, and never the future."""
    offsets: list[int] = []
    for index, delay in enumerate(delays):
        happened = NOW - 10**7 + index
        at, used = date(happened + drift, rule="corrected", zone=BERLIN, received_at=happened + delay, offsets=offsets)
        assert used == "corrected"
        assert at - happened == min(delays[max(0, index + 1 - OFFSETS) : index + 1])
        assert at <= happened + delay
    assert len(offsets) <= OFFSETS
