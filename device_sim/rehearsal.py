"""A rehearsal: hours of a disturbed plant in seconds, without a broker, as the bridge would get them.

    rehearsal = rehearse(plant_file.load(plant_file.SHIPPED), profile.load("wifi"), seed=3, start=..., duration=...)
    for happening in rehearsal:      # Arrival or BridgeAway, in order of time
        ...
    rehearsal.truth                  # complete when the iteration is

A `BridgeAway` comes at its `since`; nothing arrives until its `until`. What the broker kept follows it in a burst: the
redeliveries first (`redelivered`, the packet identifier they had), then the queue. The bridge subscribes at `start`. In
the last minutes nothing goes wrong any more.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Final, Literal

from device_sim.agenda import Agenda
from device_sim.chance import MINUTE, SECOND, Chance, Millis
from device_sim.device import encode
from device_sim.disturbance import targets
from device_sim.incident import (
    BRIDGE_SIDE,
    BridgeStopped,
    BrokerLost,
    ForeignDeath,
    Garbage,
    Incident,
    LinkLost,
    PowerLost,
    RegisterSet,
)  # fmt: skip
from device_sim.leftovers import leftover_payloads
from device_sim.machine import TICK
from device_sim.messages import report_topic
from device_sim.network import RECONNECT_TO_BROKER_SECONDS, Network, Why, Wire
from device_sim.observer import Observer
from device_sim.plant import Plant
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile
from device_sim.session import Arrival, Mqtt, Session
from device_sim.traits import Traits
from device_sim.truth import BridgeAway, Truth
from device_sim.uplink import Gateway

Happening = Arrival | BridgeAway
CALM: Final = 10 * MINUTE  # at the end nothing goes wrong any more: all that can arrive has arrived
SILENCE_SECONDS: Final = (0.0, 2.0)  # of a connection, before it is known to be dead
BRIDGE_RECONNECT_SECONDS: Final = (0.3, 3.0)


def rehearse(
    spec: PlantSpec, profile: Profile, *, seed: int, start: Millis, duration: Millis, mqtt: Mqtt = "5"
) -> "Rehearsal":
    """Prepare a run of the plant under a profile; the same arguments give the same happenings and the same truth."""
    return Rehearsal(spec, profile, seed=seed, start=start, duration=duration, mqtt=mqtt)


class Rehearsal:
    """Iterate over it once; `truth` grows with it."""

    def __init__(
        self, spec: PlantSpec, profile: Profile, *, seed: int, start: Millis, duration: Millis, mqtt: Mqtt
    ) -> None:
        spec = profile.plant(spec)
        traits = profile.traits(spec, seed=seed)
        self.truth = Truth(seed, profile.name, start, start + duration)
        self._end = start + duration
        self._plant = Plant(spec, seed=seed, start=start)
        self._chance = Chance(seed, "rehearsal")
        self._agenda = Agenda(start)
        self._out: list[Happening] = []
        self._session = Session(
            queue_limit=profile.queue_limit, mqtt=mqtt, chance=Chance(seed, "session"), later=self._arrive_later
        )
        self._network = Network(
            self._plant, traits, agenda=self._agenda, session=self._session, truth=self.truth,
            chance=Chance(seed, "network"),
        )  # fmt: skip
        self._observer = Observer(self.truth)
        # a device reads a moment after the second, each at a moment of its own
        self._phase = {name: round(self._chance.between(1, 900)) for name in self._plant.devices}
        self._power: dict[str, set[object]] = {name: set() for name in self._plant.devices}
        self._leave_behind(spec, traits, start)
        calm = self._end - min(CALM, duration // 6)
        planned = takewhile(lambda incident: incident.at < calm, profile.incidents(spec, seed=seed, start=start))
        self._incidents = [replace(each, until=min(each.until, calm)) for each in planned]

    def __iter__(self) -> Iterator[Happening]:
        """Yield what comes to the bridge, and when the bridge is away."""
        for incident in self._incidents:
            self._enter(incident)
        for absence in self._absences():
            self._enter_absence(absence)
        self._session.connect(self._plant.now)
        self._network.start()
        self._look()
        while self._plant.now + TICK <= self._end:
            self._agenda.run(self._plant.now + TICK)
            yield from self._take()
            self._live()
        self._agenda.run(self._end)
        yield from self._take()

    def _live(self) -> None:
        """Let the plant live a second; what it says is said at each device's moment in the next."""
        messages = self._plant.step(self._plant.now + TICK)
        said: dict[str, int] = {}
        self._look()
        self._lock_out()
        for message in messages:
            number = said[message.device] = said.get(message.device, -1) + 1
            at = message.at + self._phase[message.device] + number
            self._agenda.at(at, partial(self._network.say, message, at))

    def _look(self) -> None:
        for line in self._plant.lines:
            for index, machine in enumerate(line.flow.machines):
                at = self._plant.now + self._phase[machine.spec.id]
                self._agenda.at(at, partial(self._observer.look, line, index, at))

    def _lock_out(self) -> None:
        for line in self._plant.lines:
            for machine in line.flow.machines:
                name, locked = machine.spec.id, machine.is_locked_out(self._plant.now)
                if locked and "lock-out" not in self._power[name]:
                    self._agenda.at(self._agenda.now, partial(self._power_off, name, "lock-out"))
                elif not locked and "lock-out" in self._power[name]:
                    self._agenda.at(self._agenda.now, partial(self._power_on, name, "lock-out"))

    def _enter(self, incident: Incident) -> None:
        """Enter an incident into the agenda: its beginning, its end, and the silence before a connection dies."""
        at = self._agenda.at
        match incident:
            case PowerLost():
                if not incident.orderly:
                    self._stall_before(incident, [incident.device])
                off = partial(self._power_off, incident.device, incident)
                at(incident.at, off)
                at(incident.until, partial(self._power_on, incident.device, incident))
            case LinkLost():
                wire = self._network.wires.get(incident.uplink)
                if wire is not None:
                    self._stall_before(incident, [incident.uplink])
                    at(incident.at, partial(self._lose_link, wire, incident))
                    at(incident.until, partial(self._network.reconnect, wire, incident))
            case RegisterSet():
                at(incident.at, partial(self._set_registers, incident))
            case Garbage():
                at(incident.at, partial(
                    self._network.publish_foreign, incident.device, incident.kind, incident.payload, "malformed"
                ))  # fmt: skip
            case ForeignDeath():
                payload = encode({"boot_id": incident.boot_id, "seq": 0})
                at(incident.at, partial(
                    self._network.publish_foreign, incident.device, "death", payload, "foreign will"
                ))  # fmt: skip
            case BrokerLost():
                self._stall_before(incident, list(self._network.wires))
                at(incident.at, partial(self._lose_broker, incident))
                at(incident.until, partial(self._return_broker, incident))
            case _:
                pass  # the bridge's own; see `_absences`

    def _stall_before(self, incident: Incident, wires: list[str]) -> None:
        for name in wires:
            wire = self._network.wires.get(name)
            if wire is not None:
                moment = incident.at - self._chance.span(*SILENCE_SECONDS)
                self._agenda.at(moment, partial(self._network.stall, wire, incident.at))

    def _lose_link(self, wire: Wire, incident: LinkLost) -> None:
        wire.reasons.add(incident)
        why: Why = "gateway" if isinstance(wire.uplink, Gateway) else "link"
        self._network.cut(wire, why, notice=incident.noticed_after)

    def _power_off(self, name: str, reason: object) -> None:
        device, machine = self._network.devices[name], self._plant.machine(name)
        if not self._power[name]:
            orderly = isinstance(reason, PowerLost) and reason.orderly
            if machine is not None:
                machine.power_off(self._agenda.now)
            self._network.power_off(device, "shutdown" if orderly else "power", orderly=orderly)
            self._observe(name)
        self._power[name].add(reason)
        if machine is not None and isinstance(reason, PowerLost) and not reason.counters_kept:
            device.set_registers(self._agenda.now, machine.made, 0, "power")

    def _power_on(self, name: str, reason: object) -> None:
        self._power[name].discard(reason)
        if self._power[name]:
            return
        machine = self._plant.machine(name)
        if machine is not None:
            machine.power_on(self._agenda.now)
        self._network.power_on(self._network.devices[name])
        self._observe(name)

    def _observe(self, name: str) -> None:
        line = self._plant.line_of(name)
        for index, machine in enumerate(line.flow.machines):
            if machine.spec.id == name:
                self._observer.look(line, index, self._agenda.now)

    def _set_registers(self, incident: RegisterSet) -> None:
        machine = self._plant.machine(incident.device)
        if machine is not None:
            what = "preset" if incident.to else "reset"
            self._network.devices[incident.device].set_registers(incident.at, machine.made, incident.to, what)

    def _lose_broker(self, incident: BrokerLost) -> None:
        self._network.broker_away += 1
        self._session.disconnect()
        if not incident.keeps_session:
            self._session.forget()
        for wire in self._network.wires.values():
            wire.reasons.add(incident)
            wire.pending_will = None
            self._network.cut(wire, "broker", notice=None)

    def _return_broker(self, incident: BrokerLost) -> None:
        self._network.broker_away -= 1
        for wire in self._network.wires.values():
            self._network.reconnect(wire, incident, RECONNECT_TO_BROKER_SECONDS)

    def _absences(self) -> list[BridgeAway]:
        """Return when the bridge is away; what overlaps is one absence."""
        found: list[BridgeAway] = []
        for incident in self._incidents:
            if isinstance(incident, BRIDGE_SIDE):
                absence = self._absence(incident)
                if found and absence.since <= found[-1].until + SECOND:
                    absence = _merged(found.pop(), absence)
                found.append(absence)
        return found

    def _absence(self, incident: Incident) -> BridgeAway:
        until = incident.until + self._chance.span(*BRIDGE_RECONNECT_SECONDS)
        broker = isinstance(incident, BrokerLost)
        queued = not isinstance(incident, BrokerLost) or incident.keeps_session
        reason: Literal["crash", "stop", "link"] = incident.how if isinstance(incident, BridgeStopped) else "link"
        return BridgeAway(incident.at, until, reason, queued, broker)

    def _enter_absence(self, absence: BridgeAway) -> None:
        if absence.reason != "stop":
            moment = absence.since - self._chance.span(*SILENCE_SECONDS)
            self._agenda.at(moment, self._hold_acknowledgements)
        self._agenda.at(absence.since, partial(self._leave, absence))
        self._agenda.at(absence.until, lambda: self._session.connect(absence.until))

    def _hold_acknowledgements(self) -> None:
        if self._session.online:
            self._session.holds_acknowledgements = True

    def _leave(self, absence: BridgeAway) -> None:
        self._session.disconnect()
        self.truth.bridge.append(absence)
        self._out.append(absence)

    def _arrive_later(self, arrival: Arrival) -> None:
        self._agenda.at(arrival.at, partial(self._arrive, arrival))

    def _arrive(self, arrival: Arrival) -> None:
        if not self._session.arrived(arrival):
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
        for target in targets(spec):
            mine = traits[target.name]
            bodies = leftover_payloads(target, start, boot_id=mine.leftover_boot_id)
            for kind in mine.leftovers:
                if kind in bodies:
                    topic = report_topic(spec.site, target.line.area, target.line.id, target.name, kind)
                    self._session.retain(topic, bodies[kind])
                    self.truth.extras.append((start, topic, bodies[kind], "leftover"))


def _merged(first: BridgeAway, second: BridgeAway) -> BridgeAway:
    weight = ("link", "stop", "crash")
    return BridgeAway(
        first.since,
        max(first.until, second.until),
        max(first.reason, second.reason, key=weight.index),
        first.queued and second.queued,
        first.broker or second.broker,
    )
