"""The real connections of all devices, on which the driver plays incidents."""

import time

from device_sim.devices.device import Packet, SimulatedDevice
from device_sim.devices.uplink import Gateway, build_uplink, group_by_uplink
from device_sim.disturbances.incidents import LinkLost
from device_sim.mqtt.broker_access import BrokerAccess
from device_sim.mqtt.connection import DeviceLink, Display
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage, report_topic
from device_sim.scheduler import Scheduler
from device_sim.seeded_random import Millis, SeededRandom
from device_sim.truth.truth import OutageCause, Truth


class RealConnections:
    def __init__(
        self, plant: SimulatedPlant, devices: dict[str, SimulatedDevice], *, broker: BrokerAccess, display: Display,
        scheduler: Scheduler, truth: Truth, scale: float,
    ) -> None:  # fmt: skip
        self._plant = plant
        self._devices = devices
        self._display = display
        self._scheduler = scheduler
        self._truth = truth
        self._chance = SeededRandom(truth.seed, "links")
        shared = group_by_uplink(plant, devices)
        self.links = {
            name: DeviceLink(
                build_uplink(plant, name, group), group, plant, broker=broker, display=display, scheduler=scheduler,
                truth=truth, scale=scale,
            )
            for name, group in shared.items()
        }  # fmt: skip
        self._link_of = {device.name: link for link in self.links.values() for device in link.devices}
        for link in self.links.values():
            if isinstance(link.uplink, Gateway):
                for device in link.devices:
                    self._boot_behind_gateway(link, device)

    def publish(self, message: ReportMessage, at: Millis) -> None:
        """Publish a device's report. Without power, record an action as lost, and ignore the rest."""
        device, link = self._devices[message.device], self._link_of[message.device]
        if not device.powered:
            if message.is_action:
                device.record_report(message, at).fate = "no power"
            return
        self._display.show_report(message)
        machine = self._plant.machine(message.device)
        said = device.record_report(message, at, None if machine is None else machine.made)
        link.publish(link.uplink.submit(device, said, message))

    def power_off(self, device: SimulatedDevice, why: OutageCause, *, orderly: bool) -> None:
        link = self._link_of[device.name]
        self._note(f"{device.name}: {'switched off' if orderly else 'power cut'}")
        if orderly and (link.uplink.online or isinstance(link.uplink, Gateway)):
            message = self._plant.death_message(device.name)
            link.publish(link.uplink.submit(device, device.record_report(message, self._scheduler.now), message))
        device.powered = False
        if isinstance(link.uplink, Gateway):
            if not orderly:
                death = Packet(None, self._topic(device.name, "death"), device.will_payload())
                self._truth.extras.append((self._scheduler.now, death.topic, death.payload, "death by gateway"))
                link.publish(link.uplink.forward([death]))
            link.begin_outage(device, why)
        elif orderly:
            link.disconnect("power")
        else:
            link.lose_connection("power", why, noticed_after=self._chance.duration(0.001, 22.5))
            link.uplink.clear_memory()

    def power_on(self, device: SimulatedDevice) -> None:
        link = self._link_of[device.name]
        self._note(f"{device.name}: power is back")
        if isinstance(link.uplink, Gateway):
            self._boot_behind_gateway(link, device)
        else:
            link.allow_connection("power")

    def lose_link(self, incident: LinkLost) -> None:
        link = self.links.get(incident.uplink)
        if link is not None:
            self._note(f"{_link_label(link)}: connection lost")
            why: OutageCause = "gateway" if isinstance(link.uplink, Gateway) else "link"
            link.lose_connection(incident, why, noticed_after=incident.noticed_after)

    def restore_link(self, incident: LinkLost) -> None:
        link = self.links.get(incident.uplink)
        if link is not None:
            self._note(f"{_link_label(link)}: network is back")
            link.allow_connection(incident)

    def publish_foreign(self, device: str, kind: str, payload: bytes, what: str) -> None:
        """Publish a foreign payload on a device's topic, over its own connection if that is online."""
        link = self._link_of[device]
        if link.uplink.online:
            topic = self._topic(device, kind)
            self._truth.extras.append((self._scheduler.now, topic, payload, what))
            link.publish([Packet(None, topic, payload)])

    def _boot_behind_gateway(self, link: DeviceLink, device: SimulatedDevice) -> None:
        device.boot(time.time_ns() // 1_000_000)
        for said, message in link.birth_reports(device):
            link.publish(link.uplink.submit(device, said, message))

    def _note(self, text: str) -> None:
        self._display.show_note(self._scheduler.now, text)

    def _topic(self, device: str, kind: str) -> str:
        line = self._plant.line_of(device).spec
        return report_topic(self._plant.spec.site, line.area, line.id, device, kind)


def _link_label(link: DeviceLink) -> str:
    return f"gateway of {link.name.removeprefix('_/')}" if isinstance(link.uplink, Gateway) else link.name
