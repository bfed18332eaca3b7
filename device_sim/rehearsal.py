"""A rehearsal: hours of a disturbed plant in seconds, without a broker, as the bridge would receive them.

    rehearsal = rehearse(plant_file.load(plant_file.SHIPPED), profile.load("wifi"), seed=3, start=..., duration=...)
    for happening in rehearsal:      # ReceivedPublish or BridgeOutage, in order of time
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
from device_sim.seeded_random import MINUTE, SECOND, Millis, SeededRandom
from device_sim.simulated_network.broker_session import BrokerSession, MqttVersion, ReceivedPublish
from device_sim.simulated_network.network import SimulatedNetwork
from device_sim.truth.truth import BridgeOutage, Truth

__all__ = ["BridgeOutage", "Happening", "ReceivedPublish", "Rehearsal", "rehearse"]

Happening = ReceivedPublish | BridgeOutage
CALM: Final = 10 * MINUTE  # without incidents at the end, so that everything that can arrive does
SILENCE_SECONDS: Final = (0.0, 2.0)  # a connection is silent this long before it dies
BRIDGE_RECONNECT_SECONDS: Final = (0.3, 3.0)


def rehearse(
    spec: PlantSpec, profile: Profile, *, seed: int, start: Millis, duration: Millis, mqtt: MqttVersion = "5"
) -> "Rehearsal":
    """Prepare a rehearsal of the plant under a profile; the same arguments give the same happenings and truth."""
    return Rehearsal(spec, profile, seed=seed, start=start, duration=duration, mqtt=mqtt)


class Rehearsal:
    """A run to iterate over once, yielding `Happening`s; `truth` grows with it."""

    def __init__(
        self, spec: PlantSpec, profile: Profile, *, seed: int, start: Millis, duration: Millis, mqtt: MqttVersion
    ) -> None:
        spec = profile.apply_to_plant(spec)
        traits = profile.traits(spec, seed=seed)
        self.truth = Truth(seed, profile.name, start, start + duration)
        self._end = start + duration
        self._plant = SimulatedPlant(spec, seed=seed, start=start)
        self._chance = SeededRandom(seed, "rehearsal")
        self._scheduler = Scheduler(start)
        self._out: list[Happening] = []
        self._session = BrokerSession(
            queue_limit=profile.queue_limit,
            mqtt=mqtt,
            chance=SeededRandom(seed, "session"),
            schedule_delivery=self._arrive_later,
        )
        devices = build_devices(self._plant, traits, self.truth)
        self._network = SimulatedNetwork(
            self._plant, devices, scheduler=self._scheduler, session=self._session, truth=self.truth
        )
        self._driver = Driver(self._plant, devices, self._network, scheduler=self._scheduler, truth=self.truth)
        self._leave_behind(spec, traits, start)
        calm = self._end - min(CALM, duration // 6)
        planned = takewhile(lambda incident: incident.at < calm, profile.incidents(spec, seed=seed, start=start))
        self._incidents = [replace(each, until=min(each.until, calm)) for each in planned]

    def __iter__(self) -> Iterator[Happening]:
        """Yield the messages that the bridge receives, and its outages."""
        for incident in self._incidents:
            self._enter(incident)
        for absence in self._absences():
            self._enter_absence(absence)
        self._session.connect(self._plant.now)
        self._network.start()
        self._driver.observe_machines()
        while self._plant.now + TICK <= self._end:
            self._scheduler.run_until(self._plant.now + TICK)
            yield from self._take()
            self._driver.run_tick()
        self._scheduler.run_until(self._end)
        yield from self._take()

    def _enter(self, incident: Incident) -> None:
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
                moment = incident.at - self._chance.duration(*SILENCE_SECONDS)
                self._scheduler.call_at(moment, partial(connection.stall, incident.at))

    def _lose_broker(self, incident: BrokerLost) -> None:
        self._session.disconnect()
        if not incident.keeps_session:
            self._session.clear()
        self._network.lose_broker(incident)

    def _absences(self) -> list[BridgeOutage]:
        """Return the bridge's outages; those that overlap, or are at most a second apart, become one."""
        found: list[BridgeOutage] = []
        for incident in self._incidents:
            if isinstance(incident, BRIDGE_SIDE_INCIDENTS):
                absence = self._absence(incident)
                if found and absence.since <= found[-1].until + SECOND:
                    absence = _merged(found.pop(), absence)
                found.append(absence)
        return found

    def _absence(self, incident: Incident) -> BridgeOutage:
        until = incident.until + self._chance.duration(*BRIDGE_RECONNECT_SECONDS)
        broker = isinstance(incident, BrokerLost)
        queued = not isinstance(incident, BrokerLost) or incident.keeps_session
        reason: Literal["crash", "stop", "link"] = incident.how if isinstance(incident, BridgeStopped) else "link"
        return BridgeOutage(incident.at, until, reason, queued, broker)

    def _enter_absence(self, absence: BridgeOutage) -> None:
        if absence.reason != "stop":
            moment = absence.since - self._chance.duration(*SILENCE_SECONDS)
            self._scheduler.call_at(moment, self._hold_acknowledgements)
        self._scheduler.call_at(absence.since, partial(self._leave, absence))
        self._scheduler.call_at(absence.until, lambda: self._session.connect(absence.until))

    def _hold_acknowledgements(self) -> None:
        if self._session.online:
            self._session.holds_acknowledgements = True

    def _leave(self, absence: BridgeOutage) -> None:
        self._session.disconnect()
        self.truth.bridge.append(absence)
        self._out.append(absence)

    def _arrive_later(self, arrival: ReceivedPublish) -> None:
        self._scheduler.call_at(arrival.at, partial(self._arrive, arrival))

    def _arrive(self, arrival: ReceivedPublish) -> None:
        if not self._session.complete_delivery(arrival):
            return
        self._out.append(arrival)
        if arrival.number is not None and not arrival.retained:
            said = self.truth.said[arrival.number]
            said.arrived += 1
            said.fate = "arrived"

    def _take(self) -> list[Happening]:
        out, self._out = self._out, []
        return out

    def _leave_behind(self, spec: PlantSpec, traits: dict[str, Traits], start: Millis) -> None:
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
