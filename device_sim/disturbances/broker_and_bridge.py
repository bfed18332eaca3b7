"""Disturbances of the broker, of its network to the bridge, and of the bridge itself; they concern no device."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from device_sim.disturbances.disturbance import DisturbanceTarget, LastingDisturbance, RandomFactory
from device_sim.disturbances.incidents import BridgeLinkLost, BridgeStopped, BrokerLost, Incident
from device_sim.plant_file import Ratio
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis


class BridgeSideDisturbance(LastingDisturbance, ABC):
    """A disturbance of one `part` of the bridge's side."""

    part: ClassVar[str]

    def incidents(
        self,
        targets: Sequence[DisturbanceTarget],  # noqa: ARG002 - it concerns no device
        start: Millis,
        rng_for: RandomFactory,
    ) -> list[Iterator[Incident]]:
        rng = rng_for(self.part)
        return [(self.incident(at, until, rng) for at, until in self.times(start, rng))]

    @abstractmethod
    def incident(self, at: Millis, until: Millis, rng: SeededRandom) -> Incident:
        """Return the incident of one occurrence."""


class BrokerCut(BridgeSideDisturbance):
    """The broker loses power; its clients reconnect one after the other."""

    part = "broker"
    kind: Literal["broker-cut"]
    session_lost_ratio: Ratio = 0.0  # share of the cuts that lose the bridge's session, queue and retained messages

    def incident(self, at: Millis, until: Millis, rng: SeededRandom) -> Incident:
        kept = not (self.session_lost_ratio and rng.happens(self.session_lost_ratio))
        return BrokerLost(at=at, until=until, keeps_session=kept)


class BridgeLinkLoss(BridgeSideDisturbance):
    """The network between the broker and the bridge fails; the broker queues incoming reports.

    `silent`: both ends stay connected and receive nothing; `reset`: the connections end. A rehearsal plays both alike.
    """

    part = "bridge-link"
    kind: Literal["bridge-link-loss"]
    how: Literal["silent", "reset"] = "silent"

    def incident(self, at: Millis, until: Millis, rng: SeededRandom) -> Incident:  # noqa: ARG002
        return BridgeLinkLost(at=at, until=until, how=self.how)


class BridgeCut(BridgeSideDisturbance):
    """The bridge loses power (`crash`) or shuts down cleanly (`stop`)."""

    part = "bridge"
    kind: Literal["bridge-cut"]
    how: Literal["crash", "stop"] = "crash"

    def incident(self, at: Millis, until: Millis, rng: SeededRandom) -> Incident:  # noqa: ARG002
        return BridgeStopped(at=at, until=until, how=self.how)
