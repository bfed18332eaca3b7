"""Pace of a user: a burst, then a rate; who has all of it is forgotten."""

import pytest

from bridge.front.user_pace import BURST_SECONDS, UserPace
from tests.support.stopped_clock import StoppedClock


def allowed(pace: UserPace, user: str) -> int:
    return sum(pace.take(user) for _ in range(100))


@pytest.mark.parametrize("rate", [1, 5])
def test_a_user_has_a_burst_and_then_the_rate_whatever_was_refused(rate: int) -> None:
    clock = StoppedClock()
    pace = UserPace(per_second=rate, clock=clock)
    assert allowed(pace, "eva") == rate * BURST_SECONDS
    assert allowed(pace, "otto") == rate * BURST_SECONDS
    for _ in range(3):
        clock.now += 1_000
        assert allowed(pace, "eva") == rate
    clock.now += 60_000
    assert allowed(pace, "eva") == rate * BURST_SECONDS


def test_a_user_who_has_all_of_it_is_forgotten() -> None:
    clock = StoppedClock()
    pace = UserPace(per_second=5, clock=clock)
    for number in range(1_000):
        clock.now += 10
        assert pace.take(f"user {number}")
    assert 0 < len(pace) < 50
