"""A run of the plant against a real broker, in scaled real time, until its duration is over or a signal stops it."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.live import Live

from device_sim.cuts_file import CutsFile, announced_outage
from device_sim.devices.device import build_devices
from device_sim.display.display import Display, NullDisplay
from device_sim.display.incident_text import describe_incident
from device_sim.display.lines import LineDisplay
from device_sim.display.table import TableDisplay
from device_sim.disturbances.incidents import BRIDGE_SIDE_INCIDENTS, Incident
from device_sim.driver import Driver
from device_sim.mqtt.broker_access import CONNECT_SECONDS, BrokerAccess
from device_sim.mqtt.connections import MqttConnections
from device_sim.mqtt.presence import SimulatorPresence, lock_plant
from device_sim.plant.machine import TICK
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile
from device_sim.scheduler import Scheduler
from device_sim.time_units import MINUTE, SECOND, Millis
from device_sim.truth.truth import Truth
from device_sim.truth.truth_file import TruthFile

BEAT_SECONDS: Final = 0.05
LONGEST_STEP: Final = MINUTE  # simulated at once; bounds how long the event loop is blocked
GOODBYE_SECONDS: Final = 5.0

DisplayMode = Literal["table", "lines", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    spec: PlantSpec
    broker: BrokerAccess
    profile: Profile = field(default_factory=Profile)
    seed: int = 1
    scale: float = 1.0  # simulated seconds in a real one
    duration: float | None = None  # real seconds; None: until a signal
    timestamps: bool = False
    truth_file: Path | None = None
    cuts_file: Path | None = None  # announces cuts of broker, bridge and their network to the program that plays them
    show: DisplayMode = "lines"


async def run(options: RunOptions) -> None:
    """Simulate until the duration is over, or SIGINT or SIGTERM; raise `BrokerError` if the broker cannot be used."""
    spec = options.profile.apply_to_plant(options.spec)
    plant = SimulatedPlant(spec, seed=options.seed, start=time.time_ns() // 1_000_000 // SECOND * SECOND)
    traits = options.profile.traits(spec, seed=options.seed)
    line, first = next(spec.devices())
    identity = spec.identity(line, first if traits[first].gateway is None else None)
    presence = SimulatorPresence(options.broker, identity, spec.site)
    with lock_plant(options.broker, spec.site):
        await options.broker.find_version(identity, client_id=presence.probe_id)
        await presence.claim()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            with _open_display(options, plant, stop) as display:
                await RunningPlant(options, plant, display).run(stop)
        finally:
            presence.release()


class RunningPlant:
    """A plant, its devices and their real connections."""

    def __init__(self, options: RunOptions, plant: SimulatedPlant, display: Display) -> None:
        self._options = options
        self._plant = plant
        self._display = display
        start, seed, profile = plant.now, options.seed, options.profile
        self._truth = Truth(seed, profile.name, start, start)
        self._scheduler = Scheduler(start)
        traits = profile.traits(plant.spec, seed=seed)
        if not options.timestamps:
            traits = {name: replace(device_traits, ts=False) for name, device_traits in traits.items()}
        devices = build_devices(plant, traits, self._truth)
        self._connections = MqttConnections(
            plant, devices, broker=options.broker, display=display, scheduler=self._scheduler, truth=self._truth,
            scale=options.scale,
        )  # fmt: skip
        self._driver = Driver(plant, devices, self._connections, scheduler=self._scheduler, truth=self._truth)
        self._incidents = profile.incidents(plant.spec, seed=seed, start=start)
        self._next_incident = next(self._incidents, None)
        self._file = TruthFile(options.truth_file, self._truth, scale=options.scale, began=time.time_ns() // 1_000_000)
        self._cuts_file = None if options.cuts_file is None else CutsFile(options.cuts_file, scale=options.scale)

    async def run(self, stop: asyncio.Event) -> None:
        connections = list(self._connections.connections.values())
        try:
            async with asyncio.TaskGroup() as tasks:
                self._connections.start()
                running = [tasks.create_task(connection.run(), name=connection.name) for connection in connections]
                await self._run_clock(stop)
                for connection in connections:
                    connection.close()
                _, unfinished = await asyncio.wait(running, timeout=GOODBYE_SECONDS)
                for task in unfinished:
                    task.cancel()
        finally:
            self._file.close()

    async def _run_clock(self, stop: asyncio.Event) -> None:
        """Advance simulated time at `scale` times real time for the duration, once every device is connected."""
        await self._wait_until_online(stop)
        if self._options.duration is not None:
            asyncio.get_running_loop().call_later(self._options.duration, stop.set)
        self._driver.observe_machines()
        started, start = time.monotonic(), self._plant.now
        while not stop.is_set():
            due = start + round((time.monotonic() - started) * self._options.scale * SECOND)
            self._advance(min(due, self._scheduler.now + LONGEST_STEP))
            self._file.flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BEAT_SECONDS)

    def _advance(self, due: Millis) -> None:
        """Advance the plant and its incidents to `due`."""
        while self._plant.now + TICK <= due:
            self._schedule_incidents(self._plant.now + TICK)
            self._scheduler.run_until(self._plant.now + TICK)
            self._driver.run_tick()
        self._scheduler.run_until(due)

    def _schedule_incidents(self, until: Millis) -> None:
        while self._next_incident is not None and self._next_incident.at < until:
            if isinstance(self._next_incident, BRIDGE_SIDE_INCIDENTS):
                self._announce(self._next_incident)
            else:
                self._driver.schedule_incident(self._next_incident)
            self._next_incident = next(self._incidents, None)

    def _announce(self, incident: Incident) -> None:
        if self._cuts_file is None:
            return
        seconds = self._cuts_file.announce(incident)
        outage = announced_outage(incident)
        if outage is not None:
            self._truth.bridge.append(outage)
        self._display.show_note(incident.at, f"{describe_incident(incident)} for {seconds:.1f} s")

    async def _wait_until_online(self, stop: asyncio.Event) -> None:
        """Wait until every device is online or `stop` is set, at most `CONNECT_SECONDS`: a device may be refused."""
        connected = asyncio.gather(*(connection.online.wait() for connection in self._connections.connections.values()))
        stopped = asyncio.create_task(stop.wait(), name="wait for stop")
        await asyncio.wait((connected, stopped), timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (connected, stopped):
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting


@contextlib.contextmanager
def _open_display(options: RunOptions, plant: SimulatedPlant, stop: asyncio.Event) -> Iterator[Display]:
    match options.show:
        case "table":
            title = f"{options.spec.site} at {options.broker.host}:{options.broker.port}, {options.scale:g}x real time"
            table = TableDisplay(plant, title)
            with Live(table, console=Console(), refresh_per_second=4):
                yield table
        case "lines":
            yield LineDisplay(sys.stdout, on_closed=stop.set)
        case "nothing":
            yield NullDisplay()
