"""The base of all disturbances: whom one concerns, and when it comes.

A disturbance is a validated, frozen description. It shapes devices (`traits`), the plant (`plant`), or plans incidents
(`incidents`); all chance comes from outside, so the same seed gives the same trouble.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, model_validator

from device_sim.chance import MINUTE, SECOND, Chance, Millis
from device_sim.incident import Incident
from device_sim.plant_file import LineSpec, MachineSpec, Model, PlantSpec, Positive, Ratio, Span
from device_sim.traits import Traits

Together = Literal["device", "line", "plant"]
ChanceFor = Callable[[str], Chance]
"""Gives each subject its own luck."""


@dataclass(frozen=True, slots=True)
class Target:
    """A device that may be disturbed; `machine` is None for a station."""

    name: str
    line: LineSpec
    machine: MachineSpec | None


def targets(spec: PlantSpec) -> list[Target]:
    return [
        Target(name, line, next((machine for machine in line.machines if machine.id == name), None))
        for line, name in spec.devices()
    ]


class Disturbance(Model):
    """`devices` are names or patterns with `*`; `share` picks so many of them by chance."""

    devices: tuple[str, ...] = ("*",)
    share: Ratio = 1.0

    def concerned(self, everybody: Sequence[Target], chance_for: ChanceFor) -> list[Target]:
        named = [each for each in everybody if any(fnmatchcase(each.name, pattern) for pattern in self.devices)]
        return [each for each in named if self.share == 1.0 or chance_for(f"share/{each.name}").happens(self.share)]

    def plant(self, spec: PlantSpec) -> PlantSpec:
        """Return the plant as the disturbance makes it."""
        return spec

    def traits(self, traits: Traits, target: Target, chance: Chance) -> Traits:  # noqa: ARG002 - for those that need it
        """Return what a concerned device is like."""
        return traits

    def incidents(
        self,
        concerned: Sequence[Target],  # noqa: ARG002
        start: Millis,  # noqa: ARG002
        chance_for: ChanceFor,  # noqa: ARG002
    ) -> list[Iterator[Incident]]:
        """Return endless iterators of incidents, each in order of time."""
        return []


class Timed(Disturbance):
    """Comes at random (`mean_minutes_between`), or by the clock (`first_minutes` after the start, `every_minutes`)."""

    mean_minutes_between: Positive | None = None
    first_minutes: Positive | None = None
    every_minutes: Positive | None = None

    @model_validator(mode="after")
    def _has_a_time(self) -> "Timed":
        if (self.mean_minutes_between is None) == (self.first_minutes is None):
            raise ValueError("say mean_minutes_between, or first_minutes (and every_minutes): one of them")
        return self

    def moments(self, start: Millis, chance: Chance) -> Iterator[Millis]:
        """Yield when it comes: without end, or once."""
        at = start
        if self.mean_minutes_between is not None:
            while True:
                at += chance.lapse(round(self.mean_minutes_between * MINUTE))
                yield at
        assert self.first_minutes is not None
        at += round(self.first_minutes * MINUTE) + round(chance.between(0, SECOND))
        while True:
            yield at
            if self.every_minutes is None:
                return
            at += round(self.every_minutes * MINUTE)


class Lasting(Timed):
    """Lasts `seconds`, from one number to another; one at a time."""

    seconds: Span = (5.0, 60.0)

    def times(self, start: Millis, chance: Chance) -> Iterator[tuple[Millis, Millis]]:
        """Yield when it begins and ends."""
        until = start
        for at in self.moments(start, chance):
            if at > until:
                until = at + chance.span(*self.seconds)
                yield at, until


class Grouped(Lasting):
    """Comes to each device by itself, or to all of a line or of the plant at once."""

    together: Together = Field("device")

    def groups(self, concerned: Sequence[Target]) -> dict[str, list[Target]]:
        found: dict[str, list[Target]] = {}
        for target in concerned:
            key = {"device": target.name, "line": target.line.id, "plant": "plant"}[self.together]
            found.setdefault(key, []).append(target)
        return found
