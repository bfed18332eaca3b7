"""Token buckets: a burst, then a rate; a debt, and the time until it is paid."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bridge.protocol.token_bucket import TokenBucket


def test_a_bucket_allows_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(per_second=10, burst=20, at=0)
    assert [bucket.take(1, 0) for _ in range(22)] == [0] * 20 + [1, 2]
    assert bucket.take(1, 300) == 0
    assert bucket.take(1, 300) == 1


def test_a_bucket_never_holds_more_than_its_burst_and_time_never_takes_from_it() -> None:
    bucket = TokenBucket(per_second=10, burst=20, at=1_000)
    assert bucket.take(1, 10**9) == 0
    assert [bucket.take(1, 0) for _ in range(20)] == [0] * 19 + [1]


def test_a_debt_is_paid_by_time_and_bounded() -> None:
    bucket = TokenBucket(per_second=10, burst=20, max_debt=5, at=0)
    assert bucket.is_full(0)
    assert bucket.wait_ms(0) == 0
    assert bucket.take(1_000, 0) == 5
    assert bucket.wait_ms(0) == 500
    assert bucket.wait_ms(400) == 100
    assert bucket.wait_ms(600) == 0
    assert not bucket.is_full(2_499)
    assert bucket.is_full(2_500)


def test_without_a_rate_it_is_a_total() -> None:
    bucket = TokenBucket(per_second=0, burst=3, at=0)
    assert [bucket.take(1, hour) for hour in range(5)] == [0, 0, 0, 1, 2]
    assert bucket.wait_ms(10**9) == math.inf


@given(
    per_second=st.integers(1, 1_000),
    burst=st.integers(0, 1_000),
    max_debt=st.integers(0, 1_000),
    steps=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 500)), max_size=50),
)
def test_it_is_an_exact_balance(per_second: int, burst: int, max_debt: int, steps: list[tuple[int, int]]) -> None:
    bucket = TokenBucket(per_second=per_second, burst=burst, max_debt=max_debt, at=0)
    level, now, taken = Fraction(burst), 0, 0
    for later, amount in steps:
        now += later
        level = min(Fraction(burst), level + Fraction(later * per_second, 1_000))
        waiting = bucket.wait_ms(now)
        assert math.isclose(waiting, max(Fraction(0), -level) * 1_000 / per_second, abs_tol=1e-6)
        level = max(level - amount, Fraction(-max_debt))
        debt = bucket.take(amount, now)
        assert math.isclose(debt, max(Fraction(0), -level), abs_tol=1e-6)
        if debt == 0:
            taken += amount
            assert taken <= burst + now * per_second / 1_000 + 1e-6
