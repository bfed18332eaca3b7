from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.adapters.clock import MAX_FOLLOWED_MS, MAX_SLEW, Anchor, FloorClock

START = 1_700_000_000_000


@dataclass
class SystemClocks:
    """A wall clock and a monotonic clock that move only by `pass_seconds`."""

    wall_ms: int = START
    seconds: float = 100.0
    clock: FloorClock = field(init=False)

    def start(
        self, *, scale: float = 1.0, not_before: int = 0, anchor: Anchor | None = None, follows: bool = False
    ) -> FloorClock:
        self.clock = FloorClock(
            scale=scale,
            not_before=not_before,
            anchor=anchor,
            follows_steps=follows,
            wall=lambda: self.wall_ms,
            monotonic=lambda: self.seconds,
        )
        return self.clock

    def pass_seconds(self, seconds: float, *, wall_error_ms: int = 0) -> None:
        self.seconds += seconds
        self.wall_ms += int(seconds * 1_000) + wall_error_ms


def test_runs_with_the_wall() -> None:
    world = SystemClocks()
    clock = world.start()
    world.pass_seconds(12.5)
    assert clock.now() == START + 12_500


def test_a_step_of_the_wall_is_not_followed() -> None:
    world = SystemClocks()
    clock = world.start()
    world.pass_seconds(1, wall_error_ms=-30 * 86_400_000)
    assert clock.now() == START + 1_000
    world.pass_seconds(1)
    assert clock.now() == START + 2_000


def test_a_step_forward_is_followed_only_when_somebody_asks_for_it() -> None:
    """So that it is journalled before anything falls due by it."""
    world = SystemClocks()
    clock = world.start()
    world.pass_seconds(1, wall_error_ms=36_000_000)
    assert clock.now() == START + 1_000
    assert clock.wall_offset_seconds() == -36_000.0
    assert clock.forward_step() == 36_000_000
    clock.apply_step(clock.forward_step())
    assert (clock.now(), clock.forward_step(), clock.wall_offset_seconds()) == (START + 36_001_000, 0, 0.0)


def test_a_clock_that_journals_nothing_follows_a_step_forward_by_itself_and_never_goes_back() -> None:
    world = SystemClocks()
    clock = world.start(follows=True)
    world.pass_seconds(1, wall_error_ms=36_000_000)
    assert clock.now() == START + 36_001_000
    world.pass_seconds(1, wall_error_ms=-36_000_000)
    assert clock.now() == START + 36_002_000


@pytest.mark.parametrize("error_ms", [-36_000_000, -5_001, 0, 4_999])
def test_a_step_back_or_a_small_one_is_not_followed(error_ms: int) -> None:
    world = SystemClocks()
    clock = world.start()
    world.pass_seconds(0, wall_error_ms=error_ms)
    assert clock.forward_step() == 0
    assert clock.is_ahead_of_wall() == (error_ms < -5_000)
    assert clock.wall_offset_seconds() == -error_ms / 1_000


def test_a_simulation_is_never_ahead_and_never_behind() -> None:
    world = SystemClocks()
    clock = world.start(scale=60)
    world.pass_seconds(100, wall_error_ms=36_000_000)
    assert (clock.forward_step(), clock.wall_offset_seconds(), clock.is_ahead_of_wall()) == (0, 0.0, False)


def test_a_small_drift_is_slewed_by_one_percent_at_most() -> None:
    world = SystemClocks()
    clock = world.start()
    world.pass_seconds(10, wall_error_ms=2_000)
    assert clock.now() == START + 10_100
    for _ in range(30):
        world.pass_seconds(10)
        clock.now()
    assert clock.now() == world.wall_ms


def test_starts_at_the_journal_when_the_wall_is_behind_it() -> None:
    world = SystemClocks()
    clock = world.start(not_before=START + 3_600_000)
    assert clock.is_ahead_of_wall()
    assert clock.now() == START + 3_600_000
    world.pass_seconds(2)
    assert clock.now() == START + 3_602_000


@pytest.mark.parametrize("left_ms", [0, 4_999, 5_001])
def test_a_wall_that_is_right_again_is_not_behind_any_more(left_ms: int) -> None:
    world = SystemClocks()
    clock = world.start(not_before=START + 3_600_000)
    world.pass_seconds(2, wall_error_ms=3_600_000 - left_ms)
    assert clock.is_ahead_of_wall() == (left_ms > 5_000)


def test_scaled_time_is_fast_and_free_of_the_wall() -> None:
    world = SystemClocks()
    clock = world.start(scale=60)
    world.pass_seconds(1, wall_error_ms=400)
    assert clock.now() == START + 60_000
    assert clock.seconds_until(START + 120_000) == 1.0
    assert clock.seconds_until(START) == 0.0


def test_scaled_time_continues_from_its_anchor_while_nothing_runs() -> None:
    world = SystemClocks()
    before = world.start(scale=60, not_before=START + 3_600_000)
    world.pass_seconds(1)
    anchor = before.anchor()
    world.pass_seconds(2)
    after = world.start(scale=60, not_before=START + 3_661_000, anchor=anchor)
    assert after.now() == before.now() == START + 3_780_000
    world.pass_seconds(1)
    assert after.now() == START + 3_840_000


def test_an_anchor_never_takes_scaled_time_behind_the_journal() -> None:
    """The wall was set back meanwhile."""
    world = SystemClocks()
    anchor = world.start(scale=60).anchor()
    world.pass_seconds(1, wall_error_ms=-30_000)
    assert world.start(scale=60, not_before=START + 60_000, anchor=anchor).now() == START + 60_000


def test_an_anchor_means_nothing_to_a_clock_that_runs_with_the_wall() -> None:
    assert SystemClocks().start(anchor=Anchor(START + 3_600_000, START)).now() == START


def test_real_time_is_the_wall_whatever_the_scale() -> None:
    world = SystemClocks()
    clock = world.start(scale=60)
    world.pass_seconds(5)
    assert clock.wall_now() == START + 5_000


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(-20_000, 20_000)), max_size=30))
def test_never_goes_back_and_never_slews_more_than_allowed(steps: list[tuple[float, int]]) -> None:
    world = SystemClocks()
    clock = world.start()
    before = clock.now()
    for seconds, error in steps:
        world.pass_seconds(seconds, wall_error_ms=error)
        now = clock.now()
        assert abs(now - before - seconds * 1_000) <= seconds * 1_000 * MAX_SLEW + 1
        before = now
    assert MAX_FOLLOWED_MS == 5_000
