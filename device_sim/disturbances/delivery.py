"""Disturbances of how devices deliver their reports: stored, repeated, reordered, late, with QoS 0, retained."""

from dataclasses import replace
from typing import Literal

from device_sim.disturbances.disturbance import Disturbance, DisturbanceTarget
from device_sim.disturbances.traits import Odds, Traits
from device_sim.plant_file import Range, Ratio
from device_sim.reports import ReportKind
from device_sim.seeded_random import SeededRandom


class StoreAndForward(Disturbance):
    """Devices store every report while offline, not only the actions of people.

    After the birth they send the stored reports in a burst, then the current state.
    """

    kind: Literal["store-and-forward"]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, keeps="all")


class ResentReports(Disturbance):
    """A report is sent twice with the same bytes, because its acknowledgement did not arrive in time."""

    kind: Literal["resend"]
    ratio: Ratio = 0.02
    seconds: Range = (0.05, 5.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, resend=Odds(self.ratio, self.seconds))


class Reorder(Disturbance):
    """A report is overtaken by later ones of its device."""

    kind: Literal["reorder"]
    ratio: Ratio = 0.02
    seconds: Range = (0.5, 3.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, reorder=Odds(self.ratio, self.seconds))


class Jitter(Disturbance):
    """Reports are delayed, each by a different time, but stay in order."""

    kind: Literal["jitter"]
    milliseconds: Range = (5.0, 800.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, latency_ms=self.milliseconds)


class QosZero(Disturbance):
    """Devices publish these kinds with QoS 0: packets in flight when a connection dies are lost."""

    kind: Literal["qos-0"]
    kinds: tuple[ReportKind, ...] = ("state", "counts", "measurement", "inspection")

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, qos0=self.kinds)


class RetainFlag(Disturbance):
    """Devices, or a gateway in front of them, publish everything with the retain flag."""

    kind: Literal["retain-flag"]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, retain=True)
