"""Runs the plant against a broker: real time in, simulated messages out, until it is told to stop."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.live import Live

from device_sim.agenda import Agenda
from device_sim.chance import MINUTE, SECOND, Millis
from device_sim.device import build_devices
from device_sim.driver import Driver
from device_sim.incident import BRIDGE_SIDE, BridgeLinkLost, BridgeStopped, BrokerLost, Incident
from device_sim.link import Audience
from device_sim.links import Links
from device_sim.machine import TICK
from device_sim.narration import PlainLines, Silence
from device_sim.plant import Plant
from device_sim.plant_file import PlantSpec
from device_sim.presence import Presence, locked
from device_sim.profile import Profile
from device_sim.table import LiveTable
from device_sim.truth import BridgeAway, Truth
from device_sim.truth_file import TruthFile
from device_sim.wire import CONNECT_SECONDS, Broker

BEAT_SECONDS: Final = 0.05
LONGEST_STEP: Final = MINUTE  # simulated in one go; bounds how long the loop does nothing else
GOODBYE_SECONDS: Final = 5.0

Show = Literal["table", "lines", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    spec: PlantSpec
    broker: Broker
    profile: Profile = field(default_factory=Profile)
    seed: int = 1
    scale: float = 1.0  # simulated seconds in a real one
    duration: float | None = None  # real seconds; None: until it is stopped
    timestamps: bool = False
    truth_file: Path | None = None
    cuts_file: Path | None = None  # where cuts of broker, bridge and their network are announced, for who plays them
    show: Show = "lines"


async def run(options: Run) -> None:
    """Simulate until the duration is over or a signal comes; raises `WireError` where the broker cannot be used."""
    spec = options.profile.plant(options.spec)
    plant = Plant(spec, seed=options.seed, start=time.time_ns() // 1_000_000 // SECOND * SECOND)
    traits = options.profile.traits(spec, seed=options.seed)
    line, first = next(spec.devices())
    identity = spec.identity(line, first if traits[first].gateway is None else None)
    presence = Presence(options.broker, identity, spec.site)
    with locked(options.broker, spec.site):
        await options.broker.find_version(identity, client_id=presence.probe_id)
        await presence.claim()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            with _audience(options, plant, stop) as audience:
                await Stage(options, plant, audience).play(stop)
        finally:
            presence.release()


class Stage:
    """A plant, its devices and their real connections."""

    def __init__(self, options: Run, plant: Plant, audience: Audience) -> None:
        self._options = options
        self._plant = plant
        self._audience = audience
        start, seed, profile = plant.now, options.seed, options.profile
        self._truth = Truth(seed, profile.name, start, start)
        self._agenda = Agenda(start)
        traits = profile.traits(plant.spec, seed=seed)
        if not options.timestamps:
            traits = {name: replace(each, ts=False) for name, each in traits.items()}
        devices = build_devices(plant, traits, self._truth)
        self._links = Links(
            plant, devices, broker=options.broker, audience=audience, agenda=self._agenda, truth=self._truth,
            scale=options.scale,
        )  # fmt: skip
        self._driver = Driver(plant, devices, self._links, agenda=self._agenda, truth=self._truth)
        self._incidents = profile.incidents(plant.spec, seed=seed, start=start)
        self._next = next(self._incidents, None)
        self._file = TruthFile(options.truth_file, self._truth, scale=options.scale, began=time.time_ns() // 1_000_000)
        if options.cuts_file is not None:
            options.cuts_file.write_text("")

    async def play(self, stop: asyncio.Event) -> None:
        links = list(self._links.links.values())
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(link.run(), name=link.name) for link in links]
                await self._live(stop)
                for link in links:
                    link.close()
                _, late = await asyncio.wait(running, timeout=GOODBYE_SECONDS)
                for task in late:
                    task.cancel()
        finally:
            self._file.close()

    async def _live(self, stop: asyncio.Event) -> None:
        """Keep simulated time at `scale` times real time for the duration, from when every device is connected."""
        await self._first_of(stop)
        if self._options.duration is not None:
            asyncio.get_running_loop().call_later(self._options.duration, stop.set)
        self._driver.look()
        started, start = time.monotonic(), self._plant.now
        while not stop.is_set():
            due = start + round((time.monotonic() - started) * self._options.scale * SECOND)
            self._advance(min(due, self._agenda.now + LONGEST_STEP))
            self._file.flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BEAT_SECONDS)

    def _advance(self, due: Millis) -> None:
        """Play what happens until `due`."""
        while self._plant.now + TICK <= due:
            self._enter_incidents(self._plant.now + TICK)
            self._agenda.run(self._plant.now + TICK)
            self._driver.live()
        self._agenda.run(due)

    def _enter_incidents(self, until: Millis) -> None:
        while self._next is not None and self._next.at < until:
            if isinstance(self._next, BRIDGE_SIDE):
                self._announce(self._next)
            else:
                self._driver.enter(self._next)
            self._next = next(self._incidents, None)

    def _announce(self, incident: Incident) -> None:
        """Announce a cut of the bridge, the broker or the network between them; nobody else can make it so."""
        if self._options.cuts_file is None:
            return
        seconds = (incident.until - incident.at) / SECOND / self._options.scale
        kept = not isinstance(incident, BrokerLost) or incident.keeps_session
        match incident:
            case BrokerLost():
                part, how, what = "broker", "link", "broker"
                self._truth.bridge.append(BridgeAway(incident.at, incident.until, "link", queued=kept, broker=True))
            case BridgeStopped(how=reason):
                part, how, what = "bridge", str(reason), f"bridge {reason}"
                self._truth.bridge.append(BridgeAway(incident.at, incident.until, reason, queued=True, broker=False))
            case BridgeLinkLost(how=end):  # no truth of a run: the demo does not play it
                part, how, what = "network", str(end), f"network {end}"
            case _:
                return
        self._audience.note(incident.at, f"{what}: away for {seconds:.1f} s")
        with self._options.cuts_file.open("a", encoding="utf-8") as out:
            cut = {"part": part, "how": how, "seconds": seconds, "forgets": not kept}
            out.write(json.dumps(cut) + "\n")

    async def _first_of(self, stop: asyncio.Event) -> None:
        """Wait until every device is online, or for stop; not for ever for a device that is kept out."""
        connected = asyncio.gather(*(link.online.wait() for link in self._links.links.values()))
        stopped = asyncio.create_task(stop.wait(), name="wait for stop")
        await asyncio.wait((connected, stopped), timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (connected, stopped):
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting


@contextlib.contextmanager
def _audience(options: Run, plant: Plant, stop: asyncio.Event) -> Iterator[Audience]:
    match options.show:
        case "table":
            title = f"{options.spec.site} at {options.broker.host}:{options.broker.port}, {options.scale:g} x real time"
            table = LiveTable(plant, title)
            with Live(table, console=Console(), refresh_per_second=4):
                yield table
        case "lines":
            yield PlainLines(sys.stdout, unread=stop.set)
        case "nothing":
            yield Silence()
