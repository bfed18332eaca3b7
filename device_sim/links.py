"""The real connections of all devices, as the driver plays incidents on them."""

import time

from device_sim.agenda import Agenda
from device_sim.chance import Chance, Millis
from device_sim.device import Device, Packet
from device_sim.incident import LinkLost
from device_sim.link import Audience, Link
from device_sim.messages import Message, report_topic
from device_sim.plant import Plant
from device_sim.truth import Truth, Why
from device_sim.uplink import Gateway, build_uplink, build_uplinks
from device_sim.wire import Broker


class Links:
    def __init__(
        self, plant: Plant, devices: dict[str, Device], *, broker: Broker, audience: Audience, agenda: Agenda,
        truth: Truth, scale: float,
    ) -> None:  # fmt: skip
        self._plant = plant
        self._devices = devices
        self._audience = audience
        self._agenda = agenda
        self._truth = truth
        self._chance = Chance(truth.seed, "links")
        shared = build_uplinks(plant, devices)
        self.links = {
            name: Link(
                build_uplink(plant, name, group), group, plant, broker=broker, audience=audience, agenda=agenda,
                truth=truth, scale=scale,
            )
            for name, group in shared.items()
        }  # fmt: skip
        self._link_of = {device.name: link for link in self.links.values() for device in link.devices}
        for link in self.links.values():
            if isinstance(link.uplink, Gateway):
                for device in link.devices:
                    self._greet(link, device)

    def say(self, message: Message, at: Millis) -> None:
        """Let a device say something, or try to."""
        device, link = self._devices[message.device], self._link_of[message.device]
        if not device.powered:
            if message.is_action:
                device.say(message, at).fate = "no power"
            return
        self._audience.said(message)
        machine = self._plant.machine(message.device)
        said = device.say(message, at, None if machine is None else machine.made)
        link.publish(link.uplink.say(device, said, message))

    def power_off(self, device: Device, why: Why, *, orderly: bool) -> None:
        link = self._link_of[device.name]
        self._note(f"{device.name}: {'switched off' if orderly else 'power cut'}")
        if orderly and (link.uplink.online or isinstance(link.uplink, Gateway)):
            message = self._plant.death(device.name)
            link.publish(link.uplink.say(device, device.say(message, self._agenda.now), message))
        device.powered = False
        if isinstance(link.uplink, Gateway):
            if not orderly:
                death = Packet(None, self._topic(device.name, "death"), device.will())
                self._truth.extras.append((self._agenda.now, death.topic, death.payload, "death by gateway"))
                link.publish(link.uplink.forward([death]))
            link.note_absence(device, why)
        elif orderly:
            link.leave_in_order("power")
        else:
            link.lose("power", why, notice=self._chance.span(0.001, 22.5))
            link.uplink.forget()

    def power_on(self, device: Device) -> None:
        link = self._link_of[device.name]
        self._note(f"{device.name}: power is back")
        if isinstance(link.uplink, Gateway):
            self._greet(link, device)
        else:
            link.restore("power")

    def lose(self, incident: LinkLost) -> None:
        link = self.links.get(incident.uplink)
        if link is not None:
            self._note(f"{_words(link)}: connection lost")
            why: Why = "gateway" if isinstance(link.uplink, Gateway) else "link"
            link.lose(incident, why, notice=incident.noticed_after)

    def restore(self, incident: LinkLost) -> None:
        link = self.links.get(incident.uplink)
        if link is not None:
            self._note(f"{_words(link)}: network is back")
            link.restore(incident)

    def publish_foreign(self, device: str, kind: str, payload: bytes, what: str) -> None:
        """Publish what is no report of the device on its topic, where its connection can."""
        link = self._link_of[device]
        if link.uplink.online:
            topic = self._topic(device, kind)
            self._truth.extras.append((self._agenda.now, topic, payload, what))
            link.publish([Packet(None, topic, payload)])

    def _greet(self, link: Link, device: Device) -> None:
        device.boot(time.time_ns() // 1_000_000)
        for said, message in link.standing(device):
            link.publish(link.uplink.say(device, said, message))

    def _note(self, text: str) -> None:
        self._audience.note(self._agenda.now, text)

    def _topic(self, device: str, kind: str) -> str:
        line = self._plant.line_of(device).spec
        return report_topic(self._plant.spec.site, line.area, line.id, device, kind)


def _words(link: Link) -> str:
    return f"gateway of {link.name.removeprefix('_/')}" if isinstance(link.uplink, Gateway) else link.name
