"""Seeded runs of the delivery: promises P2, P3 and P4 hold whatever happens in whatever order.

A failure prints the seed and the moves: `DELIVERY_RUN=seed pytest tests/protocol/delivery/test_random_runs.py`.
"""

import os
import time
from collections import Counter
from random import Random
from typing import Final

import pytest

from bridge.protocol.ledger import Ledger
from tests.protocol.delivery.limits import SMALL, limits
from tests.protocol.delivery.moves import CLIENT, PLANT, Choice, finish, left_to_do, run, shorten
from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.small_front import SmallFront

AGAIN: Final = "DELIVERY_RUN"
ENDINGS: Final = ("break", "expire")
CLIENT_MOVES: Final = tuple(name for name in CLIENT if name not in ENDINGS)
PLANT_MOVES: Final = tuple(PLANT)


class Run:
    """One random run, which depends on its seed alone: a front with one or two dashboards, and what happens to it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._chance = chance = Random(seed)
        self._front_options = {
            "page_events": chance.choice((2, 3, 256)),
            "cold": chance.random() < 0.3,
            "short_lived": chance.choice(((False,), (True,), (False, False), (True, False))),
        }
        self._limits = {name: value for name, value in SMALL.items() if chance.random() < 0.5}
        self._moves: list[str] = []

    def make(self) -> Counter[str]:
        """Return counts of what happened."""
        with limits(self._limits):
            try:
                return self._make()
            except Exception as error:
                short = shorten(self._moves, lambda moves: run(self._build(), moves))
                moves = f"{self._moves}, in short {short}"
                raise PromiseBroken(f"{AGAIN}={self.seed}: {error!r} after {moves}") from error

    def _build(self) -> SmallFront:
        return SmallFront(**self._front_options)  # type: ignore[arg-type]

    def _make(self) -> Counter[str]:
        chance = self._chance
        front = self._build()
        kinds = chance.sample(PLANT_MOVES, 3)  # few, so that states of the same key meet
        eager = chance.random()  # how soon the front does what is left to do
        ending = chance.choice((0.0, 0.0, 0.1))
        for _ in range(chance.randint(6, 26)):
            todo = list(left_to_do(front)) if chance.random() < eager else ()
            if todo:
                choice = chance.choice(todo)
            else:
                names = kinds if chance.random() < 0.4 else ENDINGS if chance.random() < ending else CLIENT_MOVES
                choice = Choice(chance.choice(names), chance.randrange(len(front.dashboards)))
                if not choice.is_possible(front):
                    continue
            self._moves.append(str(choice))
            choice.make(front)
        finish(front)
        _check_totals(front)
        counts = Counter(events=len(front.kinds))
        for dashboard in front.dashboards:
            counts["frames"] += dashboard.frames
            counts["ended"] += dashboard.is_ended
            counts["sent"] += dashboard.oracle.sent.total()
            counts["conflated"] += dashboard.oracle.conflated.total()
            counts["snapshots"] += dashboard.oracle.snapshots
        return counts


def _check_totals(front: SmallFront) -> None:
    """Check what is counted when it changes against what all dashboards have."""
    fan_out = front.broadcaster.fan_out
    total = Ledger()
    for dashboard in front.dashboards:
        total.add(dashboard.former_ledger)
        total.add(dashboard.ledger)
    if fan_out.ledger != total:
        raise PromiseBroken(f"counted in all {fan_out.ledger}, in truth {total}")
    inside = {membership.recipient for cohort in fan_out.cohorts for membership in cohort.members}
    outside = {each for each in front.dashboards if each.delivery.may_push and not each.is_ended} - inside
    if set(fan_out.outside) != outside:
        raise PromiseBroken(f"outside of cohorts {fan_out.outside}, in truth {outside}")


def run_all(seeds: range) -> Counter[str]:
    again = os.environ.get(AGAIN)
    counts: Counter[str] = Counter()
    for seed in seeds if again is None else (int(again),):
        counts.update(Run(seed).make())
    return counts


def test_every_promise_holds_in_random_runs() -> None:
    counts = run_all(range(2_000))
    if AGAIN not in os.environ:
        assert min(counts.values()) > 100, counts  # without them the runs would prove nothing


@pytest.mark.proof
@pytest.mark.parametrize("first_seed", range(1_000_000, 1_100_000, 25_000))
def test_it_holds_a_hundred_thousand_times(first_seed: int) -> None:
    began = time.process_time()
    counts = run_all(range(first_seed, first_seed + 25_000))
    seconds = time.process_time() - began
    print(f"\nseeds from {first_seed} in {seconds:.0f} s of a core: {dict(counts)}")  # noqa: T201 - a proof says what it proved
