"""Disturbances of counter registers: reset, preset, wrap, glitch and dip."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from device_sim.disturbances.disturbance import Disturbance, DisturbanceTarget, RandomFactory, TimedDisturbance
from device_sim.disturbances.incidents import Incident, RegisterSet
from device_sim.disturbances.traits import Traits
from device_sim.plant_file import Ratio
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis


class RegisterReset(TimedDisturbance):
    """Somebody sets the registers of a machine to 0, or to a random value of a range."""

    kind: Literal["register-reset"]
    to: tuple[int, int] = (0, 0)

    def incidents(
        self, targets: Sequence[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        machines = [target for target in targets if target.machine is not None]
        return [self._sets(target, start, rng_for(target.name)) for target in machines]

    def _sets(self, target: DisturbanceTarget, start: Millis, rng: SeededRandom) -> Iterator[Incident]:
        low, high = self.to
        for at in self.moments(start, rng):
            yield RegisterSet(at=at, until=at, device=target.name, to=round(rng.uniform(low, high)))


class NearWrap(Disturbance):
    """Registers start a few pieces before their wrap."""

    kind: Literal["near-wrap"]
    pieces: int = Field(500, ge=1)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, near_wrap=self.pieces)


class Glitch(Disturbance):
    """Single readings of the registers are wrong: 0, or any value with `to = "any"`."""

    kind: Literal["glitch"]
    ratio: Ratio = 0.01
    to: Literal["zero", "any"] = "zero"

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, glitch_ratio=self.ratio, glitch_to=0 if self.to == "zero" else None)


class Dip(Disturbance):
    """Single readings of the registers are a few pieces too low."""

    kind: Literal["dip"]
    ratio: Ratio = 0.05
    pieces: int = Field(3, ge=1)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, dip_ratio=self.ratio, dip_pieces=self.pieces)
