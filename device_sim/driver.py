"""The driver of a disturbed plant: advances the plant and plays incidents on devices and their connections."""

from functools import partial
from typing import Any

from device_sim.devices.connections import DeviceConnections
from device_sim.devices.device import SimulatedDevice
from device_sim.disturbances.incidents import ForeignDeath, Incident, LinkLost, MalformedPayload, PowerLost, RegisterSet
from device_sim.plant.machine import TICK
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage, encode
from device_sim.scheduler import Scheduler
from device_sim.seeded_random import SeededRandom
from device_sim.truth.observer import Observer
from device_sim.truth.truth import RegisterEvent, Truth


class Driver:
    """Advances the plant second by second; plays incidents, and publishes reports over their connections."""

    def __init__(
        self,
        plant: SimulatedPlant,
        devices: dict[str, SimulatedDevice],
        connections: DeviceConnections[Any],
        *,
        scheduler: Scheduler,
        truth: Truth,
    ) -> None:
        self._plant = plant
        self._devices = devices
        self._connections = connections
        self._scheduler = scheduler
        self._observer = Observer(truth)
        # each device reads at an offset of its own after the full second
        rng = SeededRandom(truth.seed, "moments")
        self._moment = {name: round(rng.uniform(1, 900)) for name in plant.devices}
        self._power: dict[str, set[object]] = {name: set() for name in plant.devices}

    def run_tick(self) -> list[ReportMessage]:
        """Advance the plant by a second; return its reports, to be published in the next at their device's offset."""
        messages = self._plant.step(self._plant.now + TICK)
        self.observe_machines()
        self._lock_out()
        positions: dict[str, int] = {}
        for message in messages:
            position = positions[message.device] = positions.get(message.device, -1) + 1
            at = message.at + self._moment[message.device] + position
            self._scheduler.call_at(at, partial(self._connections.publish, message, at))
        return messages

    def observe_machines(self) -> None:
        """Schedule the recording of every machine's condition and counts in the truth."""
        for line in self._plant.lines:
            for index, machine in enumerate(line.flow.machines):
                at = self._plant.now + self._moment[machine.spec.id]
                self._scheduler.call_at(at, partial(self._observer.observe, line, index, at))

    def schedule_incident(self, incident: Incident) -> None:
        """Schedule the effects of an incident on devices and their connections."""
        at, connections = self._scheduler.call_at, self._connections
        match incident:
            case PowerLost():
                at(incident.at, partial(self._power_off, incident.device, incident))
                at(incident.until, partial(self._power_on, incident.device, incident))
            case LinkLost():
                at(incident.at, partial(connections.lose_link, incident))
                at(incident.until, partial(connections.restore_link, incident))
            case RegisterSet():
                at(incident.at, partial(self._set_registers, incident))
            case MalformedPayload(device=device, kind=kind, payload=payload):
                at(incident.at, partial(connections.publish_foreign, device, kind, payload, "malformed"))
            case ForeignDeath(device=device):
                payload = encode({"boot_id": incident.boot_id, "seq": 0})
                at(incident.at, partial(connections.publish_foreign, device, "death", payload, "foreign will"))
            case _:
                pass  # incidents of the broker and the bridge

    def _lock_out(self) -> None:
        for line in self._plant.lines:
            for machine in line.flow.machines:
                name, locked = machine.spec.id, machine.is_locked_out(self._plant.now)
                if locked != ("lock-out" in self._power[name]):
                    act = self._power_off if locked else self._power_on
                    self._scheduler.call_at(self._plant.now, partial(act, name, "lock-out"))

    def _power_off(self, name: str, reason: object) -> None:
        device, machine = self._devices[name], self._plant.machine(name)
        if not self._power[name]:
            orderly = isinstance(reason, PowerLost) and reason.orderly
            if machine is not None:
                machine.power_off(self._scheduler.now)
            self._connections.power_off(device, "shutdown" if orderly else "power", orderly=orderly)
            self._observe(name)
        self._power[name].add(reason)
        if machine is not None and isinstance(reason, PowerLost) and not reason.counters_kept:
            device.set_registers(self._scheduler.now, machine.made, 0, "power")

    def _power_on(self, name: str, reason: object) -> None:
        self._power[name].discard(reason)
        if self._power[name]:
            return
        device, machine = self._devices[name], self._plant.machine(name)
        if machine is not None:
            machine.power_on(self._scheduler.now)
        device.power_up(self._scheduler.now)
        self._connections.power_on(device)
        self._observe(name)

    def _observe(self, name: str) -> None:
        line = self._plant.line_of(name)
        for index, machine in enumerate(line.flow.machines):
            if machine.spec.id == name:
                self._observer.observe(line, index, self._scheduler.now)

    def _set_registers(self, incident: RegisterSet) -> None:
        machine = self._plant.machine(incident.device)
        if machine is not None:
            what: RegisterEvent = "preset" if incident.to else "reset"
            self._devices[incident.device].set_registers(incident.at, machine.made, incident.to, what)
