"""Base classes of disturbances: selection of devices, and timing.

A disturbance is a validated, frozen model. It changes devices (`apply_to_traits`) or the plant (`apply_to_plant`), or
plans incidents (`incidents`). Random generators are passed in, so the same seed gives the same incidents.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, model_validator

from device_sim.disturbances.incidents import Incident
from device_sim.disturbances.traits import Traits
from device_sim.plant_file import LineSpec, MachineSpec, PlantSpec, Positive, Range, Ratio
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import MINUTE, SECOND, Millis
from device_sim.toml_files import SimulationModel

Grouping = Literal["device", "line", "plant"]
RandomFactory = Callable[[str], SeededRandom]
"""Returns the random generator of a subject by its name."""


@dataclass(frozen=True, slots=True)
class DisturbanceTarget:
    """A device that may be disturbed; `machine` is None for a station."""

    name: str
    line: LineSpec
    machine: MachineSpec | None


def build_targets(spec: PlantSpec) -> list[DisturbanceTarget]:
    return [
        DisturbanceTarget(name, line, next((machine for machine in line.machines if machine.id == name), None))
        for line, name in spec.devices()
    ]


class Disturbance(SimulationModel):
    """A disturbance of `devices`, names or patterns with `*`; each is picked with probability `share`."""

    devices: tuple[str, ...] = ("*",)
    share: Ratio = 1.0

    def select_targets(
        self, candidates: Sequence[DisturbanceTarget], rng_for: RandomFactory
    ) -> list[DisturbanceTarget]:
        named = [target for target in candidates if any(fnmatchcase(target.name, pattern) for pattern in self.devices)]
        return [target for target in named if self.share == 1.0 or rng_for(f"share/{target.name}").happens(self.share)]

    def apply_to_plant(self, spec: PlantSpec) -> PlantSpec:
        """Return the plant with the disturbance applied."""
        return spec

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002 - for overrides
        """Return a target's traits with the disturbance applied."""
        return traits

    def incidents(
        self,
        targets: Sequence[DisturbanceTarget],  # noqa: ARG002
        start: Millis,  # noqa: ARG002
        rng_for: RandomFactory,  # noqa: ARG002
    ) -> list[Iterator[Incident]]:
        """Return iterators of incidents, possibly endless, each in order of time."""
        return []


class TimedDisturbance(Disturbance):
    """A disturbance at random times (`mean_minutes_between`), or fixed ones (`first_minutes`, then `every_minutes`)."""

    mean_minutes_between: Positive | None = None
    first_minutes: Positive | None = None
    every_minutes: Positive | None = None

    @model_validator(mode="after")
    def _has_a_time(self) -> "TimedDisturbance":
        if (self.mean_minutes_between is None) == (self.first_minutes is None):
            raise ValueError("needs either mean_minutes_between or first_minutes (and every_minutes)")
        return self

    def moments(self, start: Millis, rng: SeededRandom) -> Iterator[Millis]:
        """Yield the times of its occurrences: endlessly, or once for `first_minutes` alone."""
        at = start
        if self.mean_minutes_between is not None:
            while True:
                at += rng.exponential(round(self.mean_minutes_between * MINUTE))
                yield at
        assert self.first_minutes is not None
        at += round(self.first_minutes * MINUTE) + round(rng.uniform(0, SECOND))
        while True:
            yield at
            if self.every_minutes is None:
                return
            at += round(self.every_minutes * MINUTE)


class LastingDisturbance(TimedDisturbance):
    """A disturbance that lasts a random time between the two numbers of `seconds`."""

    seconds: Range = (5.0, 60.0)

    def times(self, start: Millis, rng: SeededRandom) -> Iterator[tuple[Millis, Millis]]:
        """Yield the start and end of each occurrence; they do not overlap."""
        until = start
        for at in self.moments(start, rng):
            if at > until:
                until = at + rng.duration(*self.seconds)
                yield at, until


class GroupedDisturbance(LastingDisturbance):
    """A disturbance that hits each device by itself, or all devices of a line or of the plant at once."""

    together: Grouping = Field("device")

    def groups(self, targets: Sequence[DisturbanceTarget]) -> dict[str, list[DisturbanceTarget]]:
        groups: dict[str, list[DisturbanceTarget]] = {}
        for target in targets:
            key = {"device": target.name, "line": target.line.id, "plant": "plant"}[self.together]
            groups.setdefault(key, []).append(target)
        return groups
