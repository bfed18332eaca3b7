"""Disturbances of a device's clock, `boot_id` and `seq`."""

from dataclasses import replace
from typing import Literal

from device_sim.disturbances.disturbance import Disturbance, DisturbanceTarget
from device_sim.disturbances.traits import Traits
from device_sim.plant_file import Range
from device_sim.seeded_random import SeededRandom


class ClockSkew(Disturbance):
    """Clocks are off by some time, ahead or behind, and drift."""

    kind: Literal["clock-skew"]
    seconds: Range = (20.0, 7_200.0)
    direction: Literal["ahead", "behind", "either"] = "either"
    drift_ppm: float = 0.0

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        sign = {"ahead": 1, "behind": -1, "either": rng.choice((-1, 1))}[self.direction]
        clock = replace(traits.clock, offset=sign * rng.duration(*self.seconds), drift_ppm=self.drift_ppm)
        return replace(traits, clock=clock)


class ClockStands(Disturbance):
    """Clocks are stopped: every report has the same `ts`."""

    kind: Literal["clock-stands"]
    at: int = 0  # milliseconds since 1970

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, clock=replace(traits.clock, stands_at=self.at))


class Clock1970(Disturbance):
    """Clocks start in 1970 at every power-up, until somebody sets them."""

    kind: Literal["clock-1970"]
    unset_seconds: Range = (30.0, 1_800.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, clock=replace(traits.clock, unset_seconds=self.unset_seconds))


class ClockSeconds(Disturbance):
    """Clocks tick in whole seconds."""

    kind: Literal["clock-seconds"]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, clock=replace(traits.clock, whole_seconds=True))


class NoTimestamp(Disturbance):
    """Reports carry no `ts`."""

    kind: Literal["no-ts"]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, ts=False)


class NoBootId(Disturbance):
    """Reports carry no `boot_id`, and no `seq` unless `seq` is true."""

    kind: Literal["no-boot-id"]
    seq: bool = False

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, boot_ids="none", seq=self.seq)


class ShortSeq(Disturbance):
    """The `seq` is a register of 8 or 16 bits and wraps within a boot. The bridge's plant file needs `seq_modulus`."""

    kind: Literal["short-seq"]
    bits: Literal[8, 16] = 16

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, seq_modulus=2**self.bits)


class RepeatedBootId(Disturbance):
    """The `boot_id` counts connects since power-up, so it repeats after every power cut."""

    kind: Literal["repeated-boot-id"]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, boot_ids="counter")
