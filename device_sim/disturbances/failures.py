"""Disturbances that take devices away: power cuts, lost connections, and gateways that lose theirs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from device_sim.disturbances.disturbance import DisturbanceTarget, GroupedDisturbance, LastingDisturbance, RandomFactory
from device_sim.disturbances.incidents import Incident, LinkLost, PowerLost
from device_sim.disturbances.traits import Traits
from device_sim.plant_file import LineSpec, Range, Ratio
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis


class PowerCut(GroupedDisturbance):
    """Devices lose power and reboot, with or without their counters; a machine is stopped meanwhile."""

    kind: Literal["power-cut"]
    counters_lost_ratio: Ratio = 0.0  # share of the cuts that leave the registers at 0
    orderly: bool = False  # the device publishes its death first, as at the end of a shift

    def incidents(
        self, targets: Sequence[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._cuts(name, group, start, rng_for) for name, group in self.groups(targets).items()]

    def _cuts(
        self, name: str, group: list[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> Iterator[Incident]:
        rng = rng_for(name)
        for at, until in self.times(start, rng):
            for target in group:
                kept = not (self.counters_lost_ratio and rng.happens(self.counters_lost_ratio))
                yield PowerLost(at=at, until=until, device=target.name, counters_kept=kept, orderly=self.orderly)


class LinkLoss(GroupedDisturbance):
    """Connections die without a DISCONNECT; the machines keep running. The broker notices at once or by keepalive."""

    kind: Literal["link-loss"]
    notice_seconds: Range = (0.001, 22.5)  # until the broker publishes the Will; at most 1.5 keepalives

    def incidents(
        self, targets: Sequence[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._losses(name, group, start, rng_for) for name, group in self.groups(targets).items()]

    def _losses(
        self, name: str, group: list[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> Iterator[Incident]:
        rng = rng_for(name)
        for at, until in self.times(start, rng):
            for target in group:
                noticed = rng.duration(*self.notice_seconds)
                yield LinkLost(at=at, until=until, uplink=target.name, noticed_after=noticed)


class SharedGateway(LastingDisturbance):
    """All devices of a line share the connection of its gateway, which stores their reports while offline.

    The gateway's topics have `_` in place of the equipment: its birth and death apply to the whole line.
    """

    kind: Literal["gateway"]
    lines: tuple[str, ...]

    def select_targets(
        self, candidates: Sequence[DisturbanceTarget], rng_for: RandomFactory
    ) -> list[DisturbanceTarget]:
        return [target for target in super().select_targets(candidates, rng_for) if target.line.id in self.lines]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, gateway=gateway_uplink(target.line))

    def incidents(
        self, targets: Sequence[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        lines = {target.line.id: target.line for target in targets}
        return [self._losses(line, start, rng_for(line.id)) for line in lines.values()]

    def _losses(self, line: LineSpec, start: Millis, rng: SeededRandom) -> Iterator[Incident]:
        for at, until in self.times(start, rng):
            yield LinkLost(at=at, until=until, uplink=gateway_uplink(line), noticed_after=rng.duration(0.001, 22.5))


def gateway_uplink(line: LineSpec) -> str:
    return f"_/{line.id}"
