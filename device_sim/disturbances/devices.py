"""Disturbances of devices and their connections: power, network, repeated and malformed reports, Wills, leftovers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from device_sim.disturbances.disturbance import (
    Disturbance,
    DisturbanceTarget,
    GroupedDisturbance,
    LastingDisturbance,
    RandomFactory,
    TimedDisturbance,
)
from device_sim.disturbances.incidents import ForeignDeath, Incident, LinkLost, MalformedPayload, PowerLost
from device_sim.disturbances.traits import Odds, Traits
from device_sim.plant_file import LineSpec, PlantSpec, Range, Ratio
from device_sim.seeded_random import SECOND, Millis, SeededRandom

ReportKind = Literal["state", "counts", "measurement", "inspection", "andon", "job", "changeover", "birth", "death"]
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


class PowerCut(GroupedDisturbance):
    """Devices lose power and reboot, with or without their counters; a machine is stopped meanwhile."""

    kind: Literal["power-cut"]
    counters_lost_ratio: Ratio = 0.0  # share of the cuts that leave the registers at 0
    orderly: bool = False  # the device publishes its death first, as at the end of a shift

    def incidents(
        self, concerned: Sequence[DisturbanceTarget], start: Millis, chance_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._cuts(name, group, start, chance_for) for name, group in self.groups(concerned).items()]

    def _cuts(
        self, name: str, group: list[DisturbanceTarget], start: Millis, chance_for: RandomFactory
    ) -> Iterator[Incident]:
        chance = chance_for(name)
        for at, until in self.times(start, chance):
            for target in group:
                kept = not (self.counters_lost_ratio and chance.happens(self.counters_lost_ratio))
                yield PowerLost(at=at, until=until, device=target.name, counters_kept=kept, orderly=self.orderly)


class LinkLoss(GroupedDisturbance):
    """Connections die without a DISCONNECT; the machines keep running. The broker notices at once or by keepalive."""

    kind: Literal["link-loss"]
    notice_seconds: Range = (0.001, 22.5)  # until the broker publishes the Will; at most 1.5 keepalives

    def incidents(
        self, concerned: Sequence[DisturbanceTarget], start: Millis, chance_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._losses(name, group, start, chance_for) for name, group in self.groups(concerned).items()]

    def _losses(
        self, name: str, group: list[DisturbanceTarget], start: Millis, chance_for: RandomFactory
    ) -> Iterator[Incident]:
        chance = chance_for(name)
        for at, until in self.times(start, chance):
            for target in group:
                noticed = chance.duration(*self.notice_seconds)
                yield LinkLost(at=at, until=until, uplink=target.name, noticed_after=noticed)


class SharedGateway(LastingDisturbance):
    """All devices of a line share the connection of its gateway, which stores their reports while offline.

    The gateway's topics have `_` in place of the equipment: its birth and death apply to the whole line.
    """

    kind: Literal["gateway"]
    lines: tuple[str, ...]

    def select_targets(
        self, candidates: Sequence[DisturbanceTarget], chance_for: RandomFactory
    ) -> list[DisturbanceTarget]:
        return [each for each in super().select_targets(candidates, chance_for) if each.line.id in self.lines]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, gateway=gateway_uplink(target.line))

    def incidents(
        self, concerned: Sequence[DisturbanceTarget], start: Millis, chance_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        lines = {target.line.id: target.line for target in concerned}
        return [self._losses(line, start, chance_for(line.id)) for line in lines.values()]

    def _losses(self, line: LineSpec, start: Millis, chance: SeededRandom) -> Iterator[Incident]:
        for at, until in self.times(start, chance):
            yield LinkLost(at=at, until=until, uplink=gateway_uplink(line), noticed_after=chance.duration(0.001, 22.5))


def gateway_uplink(line: LineSpec) -> str:
    return f"_/{line.id}"


class StoreAndForward(Disturbance):
    """Devices store every report while offline, not only the actions of people.

    After the birth they send the stored reports in a burst, then the current state.
    """

    kind: Literal["store-and-forward"]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, keeps="all")


class ResentReports(Disturbance):
    """A report is sent twice with the same bytes, because its acknowledgement did not arrive in time."""

    kind: Literal["resend"]
    ratio: Ratio = 0.02
    seconds: Range = (0.05, 5.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, resend=Odds(self.ratio, self.seconds))


class Reorder(Disturbance):
    """A report is overtaken by later ones of its device."""

    kind: Literal["reorder"]
    ratio: Ratio = 0.02
    seconds: Range = (0.5, 3.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, reorder=Odds(self.ratio, self.seconds))


class Jitter(Disturbance):
    """Reports are delayed, each by a different time, but stay in order."""

    kind: Literal["jitter"]
    milliseconds: Range = (5.0, 800.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, latency_ms=self.milliseconds)


class QosZero(Disturbance):
    """Devices publish these kinds with QoS 0: packets in flight when a connection dies are lost."""

    kind: Literal["qos-0"]
    kinds: tuple[ReportKind, ...] = ("state", "counts", "measurement", "inspection")

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, qos0=self.kinds)


class RetainFlag(Disturbance):
    """Devices, or a gateway in front of them, publish everything with the retain flag."""

    kind: Literal["retain-flag"]

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, retain=True)


class Leftovers(Disturbance):
    """The broker holds retained reports from an earlier run of the devices."""

    kind: Literal["leftovers"]
    kinds: tuple[Literal["birth", "death", "state", "counts"], ...] = ("birth", "death", "state", "counts")
    boot_id: bool = False  # whether the reports carry one

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, leftovers=self.kinds, leftover_boot_id=self.boot_id)


class LateWill(Disturbance):
    """The broker publishes a Will late: after the device has reconnected."""

    kind: Literal["late-will"]
    ratio: Ratio = 0.5
    seconds: Range = (5.0, 90.0)

    def apply_to_traits(self, traits: Traits, target: DisturbanceTarget, chance: SeededRandom) -> Traits:  # noqa: ARG002
        return replace(traits, late_will=Odds(self.ratio, self.seconds))


class ForeignWill(TimedDisturbance):
    """A Will of an older connection, or of another client, is published on a device's topic."""

    kind: Literal["foreign-will"]

    def incidents(
        self, concerned: Sequence[DisturbanceTarget], start: Millis, chance_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._deaths(target, start, chance_for(target.name)) for target in concerned]

    def _deaths(self, target: DisturbanceTarget, start: Millis, chance: SeededRandom) -> Iterator[Incident]:
        for at in self.moments(start, chance):
            older = start - chance.duration(3_600, 10_000_000)
            yield ForeignDeath(at=at, until=at, device=target.name, boot_id=older)


class Malformed(TimedDisturbance):
    """Invalid payloads are published on a device's topics."""

    kind: Literal["malformed"]
    kinds: tuple[ReportKind, ...] = ("state", "counts")
    run: int = 3  # at most this many in a row

    def incidents(
        self, concerned: Sequence[DisturbanceTarget], start: Millis, chance_for: RandomFactory
    ) -> list[Iterator[Incident]]:
        return [self._garbage(target, start, chance_for(target.name)) for target in concerned]

    def _garbage(self, target: DisturbanceTarget, start: Millis, chance: SeededRandom) -> Iterator[Incident]:
        for at in self.moments(start, chance):
            for number in range(chance.choice(range(1, self.run + 1))):
                moment = at + number * SECOND // 10
                payload = chance.choice((*MALFORMED_PAYLOADS, b'{"description": "' + b"x" * 70_000 + b'"}'))
                yield MalformedPayload(
                    at=moment, until=moment, device=target.name, kind=chance.choice(self.kinds), payload=payload
                )


class LongRepairs(Disturbance):
    """A share of the faults takes long to repair, some with the power off, so that calls escalate to the top."""

    kind: Literal["long-repairs"]
    ratio: Ratio = 0.15
    minutes: Range = (35.0, 80.0)
    lock_out_ratio: Ratio = 0.0  # share of all repairs done with the machine's power off

    def apply_to_plant(self, spec: PlantSpec) -> PlantSpec:
        changes = {
            "long_repair_ratio": self.ratio,
            "long_repair_minutes": self.minutes,
            "lock_out_ratio": self.lock_out_ratio,
        }
        lines = tuple(
            line.model_copy(update={"machines": tuple(each.model_copy(update=changes) for each in line.machines)})
            for line in spec.lines
        )
        return spec.model_copy(update={"lines": lines})


class BusyPeople(Disturbance):
    """People leave many calls unacknowledged for long, some for as long as the trouble lasts."""

    kind: Literal["busy-people"]
    forget_ratio: Ratio = 0.5
    forget_minutes: Range = (8.0, 40.0)

    def apply_to_plant(self, spec: PlantSpec) -> PlantSpec:
        low, high = self.forget_minutes
        changes = {"forget_ratio": self.forget_ratio, "forget_seconds": (low * 60, high * 60)}
        lines = tuple(line.model_copy(update={"people": line.people.model_copy(update=changes)}) for line in spec.lines)
        return spec.model_copy(update={"lines": lines})
