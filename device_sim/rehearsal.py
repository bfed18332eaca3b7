"""A rehearsal: hours of a disturbed plant in seconds, without a broker, as the bridge would receive them.

    rehearsal = rehearse(plant_file.load(plant_file.SHIPPED), profile.load("wifi"), seed=3, start=..., duration=...)
    for step in rehearsal:      # ReceivedPublish or BridgeOutage, in order of time
        ...
    rehearsal.truth                  # complete when the iteration has ended

A `BridgeOutage` comes at its `since`; nothing arrives until its `until`. The broker's backlog follows in a burst: first
the redeliveries (`redelivered`, with their packet identifiers), then the queue. The bridge subscribes at `start`. The
last minutes have no incidents.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Final, Literal

from device_sim.devices.device import build_devices
from device_sim.disturbances.incidents import (
    BRIDGE_SIDE_INCIDENTS,
    BridgeStopped,
    BrokerLost,
    Incident,
    LinkLost,
    PowerLost,
)
from device_sim.disturbances.leftovers import leftover_messages
from device_sim.disturbances.traits import Traits
from device_sim.driver import Driver
from device_sim.plant.machine import TICK
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile
from device_sim.scheduler import Scheduler
from device_sim.seeded_random import SeededRandom
from device_sim.simulated_network.broker_session import BrokerSession, MqttVersion, ReceivedPublish
from device_sim.simulated_network.network import SimulatedNetwork
from device_sim.time_units import MINUTE, SECOND, Millis
from device_sim.truth.truth import BridgeOutage, Truth

__all__ = ["BridgeOutage", "ReceivedPublish", "Rehearsal", "RehearsalStep", "rehearse"]

RehearsalStep = ReceivedPublish | BridgeOutage
CALM: Final = 10 * MINUTE  # without incidents at the end, so that everything that can arrive does
SILENCE_SECONDS: Final = (0.0, 2.0)  # a connection is silent this long before it dies
BRIDGE_RECONNECT_SECONDS: Final = (0.3, 3.0)


def rehearse(
    spec: PlantSpec, profile: Profile, *, seed: int, start: Millis, duration: Millis, mqtt: MqttVersion = "5"
) -> "Rehearsal":
    """Prepare a rehearsal of the plant under a profile; the same arguments give the same steps and truth."""
    return Rehearsal(spec, profile, seed=seed, start=start, duration=duration, mqtt=mqtt)


class Rehearsal:
    """A run to iterate over once, yielding `RehearsalStep`s; `truth` grows with it."""

    def __init__(
        self, spec: PlantSpec, profile: Profile, *, seed: int, start: Millis, duration: Millis, mqtt: MqttVersion
    ) -> None:
        spec = profile.apply_to_plant(spec)
        traits = profile.traits(spec, seed=seed)
        self.truth = Truth(seed, profile.name, start, start + duration)
        self._end = start + duration
        self._plant = SimulatedPlant(spec, seed=seed, start=start)
        self._rng = SeededRandom(seed, "rehearsal")
        self._scheduler = Scheduler(start)
        self._out: list[RehearsalStep] = []
        self._session = BrokerSession(
            queue_limit=profile.queue_limit,
            mqtt=mqtt,
            rng=SeededRandom(seed, "session"),
            schedule_delivery=self._schedule_arrival,
        )
        devices = build_devices(self._plant, traits, self.truth)
        self._network = SimulatedNetwork(
            self._plant, devices, scheduler=self._scheduler, session=self._session, truth=self.truth
        )
        self._driver = Driver(self._plant, devices, self._network, scheduler=self._scheduler, truth=self.truth)
        self._retain_leftovers(spec, traits, start)
        calm = self._end - min(CALM, duration // 6)
        planned = takewhile(lambda incident: incident.at < calm, profile.incidents(spec, seed=seed, start=start))
        self._incidents = [replace(incident, until=min(incident.until, calm)) for incident in planned]

    def __iter__(self) -> Iterator[RehearsalStep]:
        """Yield the messages that the bridge receives, and its outages."""
        for incident in self._incidents:
            self._schedule_incident(incident)
        for outage in self._merged_outages():
            self._schedule_outage(outage)
        self._session.connect(self._plant.now)
        self._network.start()
        self._driver.observe_machines()
        while self._plant.now + TICK <= self._end:
            self._scheduler.run_until(self._plant.now + TICK)
            yield from self._take_steps()
            self._driver.run_tick()
        self._scheduler.run_until(self._end)
        yield from self._take_steps()

    def _schedule_incident(self, incident: Incident) -> None:
        """Schedule an incident, and the silence before it kills connections."""
        self._driver.schedule_incident(incident)
        match incident:
            case PowerLost(device=device) if not incident.orderly:
                self._stall_before(incident, [device])
            case LinkLost(uplink=uplink):
                self._stall_before(incident, [uplink])
            case BrokerLost():
                self._stall_before(incident, list(self._network.connections))
                self._scheduler.call_at(incident.at, partial(self._lose_broker, incident))
                self._scheduler.call_at(incident.until, partial(self._network.restore_broker, incident))
            case _:
                pass

    def _stall_before(self, incident: Incident, uplinks: list[str]) -> None:
        for name in uplinks:
            connection = self._network.connections.get(name)
            if connection is not None:
                moment = incident.at - self._rng.duration(*SILENCE_SECONDS)
                self._scheduler.call_at(moment, partial(connection.stall, incident.at))

    def _lose_broker(self, incident: BrokerLost) -> None:
        self._session.disconnect()
        if not incident.keeps_session:
            self._session.clear()
        self._network.lose_broker(incident)

    def _merged_outages(self) -> list[BridgeOutage]:
        """Return the bridge's outages; those that overlap, or are at most a second apart, become one."""
        outages: list[BridgeOutage] = []
        for incident in self._incidents:
            if isinstance(incident, BRIDGE_SIDE_INCIDENTS):
                outage = self._outage_of(incident)
                if outages and outage.since <= outages[-1].until + SECOND:
                    outage = _merged(outages.pop(), outage)
                outages.append(outage)
        return outages

    def _outage_of(self, incident: Incident) -> BridgeOutage:
        until = incident.until + self._rng.duration(*BRIDGE_RECONNECT_SECONDS)
        broker = isinstance(incident, BrokerLost)
        queued = not isinstance(incident, BrokerLost) or incident.keeps_session
        reason: Literal["crash", "stop", "link"] = incident.how if isinstance(incident, BridgeStopped) else "link"
        return BridgeOutage(incident.at, until, reason, queued, broker)

    def _schedule_outage(self, outage: BridgeOutage) -> None:
        if outage.reason != "stop":
            moment = outage.since - self._rng.duration(*SILENCE_SECONDS)
            self._scheduler.call_at(moment, self._hold_acknowledgements)
        self._scheduler.call_at(outage.since, partial(self._disconnect_bridge, outage))
        self._scheduler.call_at(outage.until, lambda: self._session.connect(outage.until))

    def _hold_acknowledgements(self) -> None:
        if self._session.online:
            self._session.holds_acknowledgements = True

    def _disconnect_bridge(self, outage: BridgeOutage) -> None:
        self._session.disconnect()
        self.truth.bridge.append(outage)
        self._out.append(outage)

    def _schedule_arrival(self, arrival: ReceivedPublish) -> None:
        self._scheduler.call_at(arrival.at, partial(self._arrive, arrival))

    def _arrive(self, arrival: ReceivedPublish) -> None:
        if not self._session.complete_delivery(arrival):
            return
        self._out.append(arrival)
        if arrival.number is not None and not arrival.retained:
            report = self.truth.reports[arrival.number]
            report.arrived += 1
            report.fate = "arrived"

    def _take_steps(self) -> list[RehearsalStep]:
        out, self._out = self._out, []
        return out

    def _retain_leftovers(self, spec: PlantSpec, traits: dict[str, Traits], start: Millis) -> None:
        for _, topic, payload in leftover_messages(spec, traits, start):
            self._session.retain(topic, payload)
            self.truth.extras.append((start, topic, payload, "leftover"))


def _merged(first: BridgeOutage, second: BridgeOutage) -> BridgeOutage:
    weight = ("link", "stop", "crash")
    return BridgeOutage(
        first.since,
        max(first.until, second.until),
        max(first.reason, second.reason, key=weight.index),
        first.queued and second.queued,
        first.broker or second.broker,
    )
