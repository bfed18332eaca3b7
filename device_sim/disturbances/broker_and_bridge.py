"""Disturbances of the broker, of its network to the bridge, and of the bridge itself."""

from collections.abc import Iterator, Sequence
from typing import Literal

from device_sim.disturbances.disturbance import DisturbanceTarget, LastingDisturbance, RandomFactory
from device_sim.disturbances.incidents import BridgeLinkLost, BridgeStopped, BrokerLost, Incident
from device_sim.plant_file import Ratio
from device_sim.seeded_random import Millis, SeededRandom


class BrokerCut(LastingDisturbance):
    """The broker loses power; its clients reconnect one after the other."""

    kind: Literal["broker-cut"]
    session_lost_ratio: Ratio = 0.0  # share of the cuts that lose the bridge's session, queue and retained messages

    def incidents(
        self,
        concerned: Sequence[DisturbanceTarget],  # noqa: ARG002 - it concerns no device
        start: Millis,
        chance_for: RandomFactory,
    ) -> list[Iterator[Incident]]:
        return [self._cuts(start, chance_for("broker"))]

    def _cuts(self, start: Millis, chance: SeededRandom) -> Iterator[Incident]:
        for at, until in self.times(start, chance):
            kept = not (self.session_lost_ratio and chance.happens(self.session_lost_ratio))
            yield BrokerLost(at=at, until=until, keeps_session=kept)


class BridgeLinkLoss(LastingDisturbance):
    """The network between the broker and the bridge fails; the broker queues incoming reports.

    `silent`: both ends stay connected and receive nothing; `reset`: the connections end. A rehearsal plays both alike.
    """

    kind: Literal["bridge-link-loss"]
    how: Literal["silent", "reset"] = "silent"

    def incidents(
        self,
        concerned: Sequence[DisturbanceTarget],  # noqa: ARG002 - it concerns no device
        start: Millis,
        chance_for: RandomFactory,
    ) -> list[Iterator[Incident]]:
        return [self._losses(start, chance_for("bridge-link"))]

    def _losses(self, start: Millis, chance: SeededRandom) -> Iterator[Incident]:
        for at, until in self.times(start, chance):
            yield BridgeLinkLost(at=at, until=until, how=self.how)


class BridgeCut(LastingDisturbance):
    """The bridge loses power (`crash`) or shuts down cleanly (`stop`)."""

    kind: Literal["bridge-cut"]
    how: Literal["crash", "stop"] = "crash"

    def incidents(
        self,
        concerned: Sequence[DisturbanceTarget],  # noqa: ARG002 - it concerns no device
        start: Millis,
        chance_for: RandomFactory,
    ) -> list[Iterator[Incident]]:
        return [self._cuts(start, chance_for("bridge"))]

    def _cuts(self, start: Millis, chance: SeededRandom) -> Iterator[Incident]:
        for at, until in self.times(start, chance):
            yield BridgeStopped(at=at, until=until, how=self.how)
