"""Seeded runs of the delivery: promises P2, P3 and P4 hold whatever happens in whatever order.

A failure prints the seed and the moves: `DELIVERY_RUN=seed pytest tests/protocol/delivery/test_random_runs.py`.
"""

import os
import time
from collections import Counter
from random import Random
from typing import Final

import pytest

from tests.protocol.delivery.dashboard import SmallDashboard
from tests.protocol.delivery.moves import CLIENT, PLANT, finish, left_to_do, make
from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.world import World

AGAIN: Final = "DELIVERY_RUN"
CLIENT_MOVES: Final = tuple(CLIENT)
PLANT_MOVES: Final = tuple(PLANT)


def run(seed: int) -> Counter[str]:
    """Run one world, with one or two dashboards; return counts of what happened."""
    chance = Random(seed)
    world = World(page_events=chance.choice((2, 3, 256)), cold=chance.random() < 0.3)
    for _ in range(chance.randrange(3)):
        world.commit(chance.choice(PLANT_MOVES).removeprefix("commit "))
    dashboards = [SmallDashboard(world, "all") for _ in range(chance.choice((1, 1, 2)))]
    kinds = chance.sample(PLANT_MOVES, 3)  # few, so that states of the same key meet
    moves: list[str] = []
    eager = chance.random()  # how soon the front does what is left to do
    try:
        for _ in range(chance.randint(6, 26)):
            at = chance.randrange(len(dashboards))
            todo = list(left_to_do(world, dashboards[at])) if chance.random() < eager else ()
            name = chance.choice(todo) if todo else chance.choice(kinds if chance.random() < 0.4 else CLIENT_MOVES)
            moves.append(f"{at} {name}")
            make(name, world, dashboards, at)
        moves.append("finish")
        finish(world, dashboards)
    except Exception as error:
        raise PromiseBroken(f"{AGAIN}={seed}: {error!r} after {moves}") from error
    counts = Counter({"events": len(world.kinds), "frames": sum(dashboard.frames for dashboard in dashboards)})
    for dashboard in dashboards:
        counts["sent"] += dashboard.oracle.sent.total()
        counts["conflated"] += dashboard.oracle.conflated.total()
        counts["snapshots"] += dashboard.oracle.snapshots
    return counts


def run_all(seeds: range) -> Counter[str]:
    again = os.environ.get(AGAIN)
    counts: Counter[str] = Counter()
    for seed in seeds if again is None else (int(again),):
        counts.update(run(seed))
    return counts


def test_every_promise_holds_in_random_runs() -> None:
    counts = run_all(range(2_000))
    if AGAIN not in os.environ:
        assert min(counts.values()) > 200, counts  # without them the runs would prove nothing


@pytest.mark.proof
@pytest.mark.parametrize("first_seed", range(1_000_000, 1_100_000, 25_000))
def test_it_holds_a_hundred_thousand_times(first_seed: int) -> None:
    began = time.process_time()
    counts = run_all(range(first_seed, first_seed + 25_000))
    seconds = time.process_time() - began
    print(f"\nseeds from {first_seed} in {seconds:.0f} s of a core: {dict(counts)}")  # noqa: T201 - a proof says what it proved
