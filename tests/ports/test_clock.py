"""The contract of clocks, over every implementation."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from bridge.adapters.clock import Anchor, FloorClock
from bridge.ports.clock import AdjustableClock, Clock, FrontClock
from tests.front.memory_front import ManualClock
from tests.front.simulation.resume_run import VirtualClock
from tests.front.simulation.virtual_loop import VirtualLoop

HOUR = 3_600_000


def anchored() -> FloorClock:
    wall = time.time_ns() // 1_000_000
    return FloorClock(scale=60.0, anchor=Anchor(wall - HOUR, wall - 1_000))


def ahead_of_the_wall() -> FloorClock:
    return FloorClock(not_before=time.time_ns() // 1_000_000 + HOUR)


CLOCKS: dict[str, Callable[[], Clock]] = {
    "as fast as life": FloorClock,
    "60 times as fast": lambda: FloorClock(scale=60.0),
    "anchored": anchored,
    "ahead of the wall": ahead_of_the_wall,
    "following steps": lambda: FloorClock(follows_steps=True),
}
ADJUSTABLE: dict[str, Callable[[], AdjustableClock]] = {
    "as fast as life": FloorClock,
    "60 times as fast": lambda: FloorClock(scale=60.0),
}
FRONT_CLOCKS: dict[str, Callable[[], FrontClock]] = {
    "as fast as life": FloorClock,
    "60 times as fast": lambda: FloorClock(scale=60.0),
    "manual": ManualClock,
    "virtual": VirtualClock,
}


@pytest.fixture(params=CLOCKS)
def clock(request: pytest.FixtureRequest) -> Clock:
    return CLOCKS[request.param]()


def test_floor_time_never_goes_back_and_passes(clock: Clock) -> None:
    first = last = clock.now()
    deadline = time.monotonic() + 10
    while last < first + 20:
        now = clock.now()
        assert now >= last
        last = now
        assert time.monotonic() < deadline, "it stands still"


def test_seconds_until_is_zero_for_what_has_passed(clock: Clock) -> None:
    now = clock.now()
    assert clock.seconds_until(now) == 0
    assert clock.seconds_until(now - HOUR) == 0


def test_after_seconds_until_a_floor_time_it_has_come(clock: Clock) -> None:
    at = clock.now() + 50
    remaining = clock.seconds_until(at)
    assert 0 < remaining <= 0.05
    while (remaining := clock.seconds_until(at)) > 0:
        time.sleep(remaining)
    assert clock.now() >= at


@pytest.mark.parametrize("make", ADJUSTABLE.values(), ids=ADJUSTABLE)
def test_a_step_moves_floor_time_by_its_length(make: Callable[[], AdjustableClock]) -> None:
    clock = make()
    assert clock.forward_step() == 0, "nobody set the wall clock"
    before = clock.now()
    at = before + 2 * HOUR
    clock.apply_step(HOUR)
    assert before + HOUR <= clock.now() < at
    assert clock.seconds_until(before + HOUR) == 0


def run_in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop(Random(1))  # type: ignore[abstract] # as much of a loop as it takes
    loop.run(work, until=60.0)


@pytest.mark.parametrize("make", FRONT_CLOCKS.values(), ids=FRONT_CLOCKS)
def test_floor_time_does_not_go_back_and_wall_time_passes(make: Callable[[], FrontClock]) -> None:
    async def read_twice() -> None:
        clock = make()
        floor, wall = clock.now(), clock.wall_now()
        await asyncio.sleep(0.05)
        assert clock.now() >= floor
        assert clock.wall_now() >= wall + 45  # sleep counts on another clock of the host

    run = run_in_virtual_time if make is VirtualClock else asyncio.run
    run(read_twice())
