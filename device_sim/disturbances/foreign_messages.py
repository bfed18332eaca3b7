"""Disturbances by messages that are no reports of a device's connection: leftovers, Wills, malformed payloads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from device_sim.disturbances.disturbance import Disturbance, DisturbanceTarget, RandomFactory, TimedDisturbance
from device_sim.disturbances.incidents import ForeignDeath, Incident, MalformedPayload
from device_sim.disturbances.traits import Odds, Traits
from device_sim.plant_file import Range, Ratio
from device_sim.reports import ReportKind
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import SECOND, Millis

MALFORMED_PAYLOADS: tuple[bytes, ...] = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"running"',
    b"\xff\xfe\x00",
    b'{"state": "running"} {"state": "running"}',
    b'{"total": "12"}',
    b'{"total": NaN}',
    b'{"total": 1.5}',
    b'{"state": "flying"}',
    b'{"total": 1, "total": 2}',
    b'{"site": "elsewhere", "state": "running", "total": 1}',
    b'{"state": "running", "seq": -1, "boot_id": 1, "total": 1}',
)


class Leftovers(Disturbance):
    """The broker holds retained reports from an earlier run of the devices."""

    kind: Literal["leftovers"]
    kinds: tuple[Literal["birth", "death", "state", "counts"], ...] = ("birth", "death", "state", "counts")
    boot_id: bool = False  # whether the reports carry one

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, leftovers=self.kinds, leftover_boot_id=self.boot_id)


class LateWill(Disturbance):
    """The broker publishes a Will late: after the device has reconnected."""

    kind: Literal["late-will"]
    ratio: Ratio = 0.5
    seconds: Range = (5.0, 90.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, rng: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, late_will=Odds(self.ratio, self.seconds))


class ForeignWill(TimedDisturbance):
    """A Will of an older connection, or of another client, is published on a device's topic."""

    kind: Literal["foreign-will"]

    def incidents(
        self, targets: Sequence[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._deaths(target, start, rng_for(target.name)) for target in targets]

    def _deaths(self, target: DisturbanceTarget, start: Millis, rng: SeededRandom) -> Iterator[Incident]:
        for at in self.moments(start, rng):
            older = start - rng.duration(3_600, 10_000_000)
            yield ForeignDeath(at=at, until=at, device=target.name, boot_id=older)


class Malformed(TimedDisturbance):
    """Invalid payloads are published on a device's topics."""

    kind: Literal["malformed"]
    kinds: tuple[ReportKind, ...] = ("state", "counts")
    run: int = 3  # at most this many in a row

    def incidents(
        self, targets: Sequence[DisturbanceTarget], start: Millis, rng_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._garbage(target, start, rng_for(target.name)) for target in targets]

    def _garbage(self, target: DisturbanceTarget, start: Millis, rng: SeededRandom) -> Iterator[Incident]:
        for at in self.moments(start, rng):
            for number in range(rng.choice(range(1, self.run + 1))):
                moment = at + number * SECOND // 10
                payload = rng.choice((*MALFORMED_PAYLOADS, b'{"description": "' + b"x" * 70_000 + b'"}'))
                yield MalformedPayload(
                    at=moment, until=moment, device=target.name, kind=rng.choice(self.kinds), payload=payload
                )
