"""Seeded randomness, one generator per actor: adding a machine to the plant file changes no other actor's sequence."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from device_sim.time_units import SECOND, Millis

Choice = TypeVar("Choice")


class SeededRandom:
    """A random generator for one actor, repeatable for a seed and the actor's name."""

    def __init__(self, seed: int, name: str) -> None:
        self._random = Random(f"{seed}/{name}")  # noqa: S311 - a simulation must be repeatable, not secret

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def choice(self, choices: Sequence[Choice]) -> Choice:
        return self._random.choice(choices)

    def gauss(self, sigma: float) -> float:
        return self._random.gauss(0.0, sigma)

    def exponential(self, mean: Millis) -> Millis:
        """Return an exponentially distributed time to the next event, at least one second."""
        return max(SECOND, round(self._random.expovariate(1.0 / mean)))

    def duration(self, low_seconds: float, high_seconds: float) -> Millis:
        return round(self.uniform(low_seconds, high_seconds) * SECOND)
